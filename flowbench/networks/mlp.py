"""Multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """A ReLU network from ``(batch, inputs)`` to ``(batch, outputs)``.

    The last layer starts at zero, so that a coupling starts as the identity (Kingma & Dhariwal 2018,
    1807.03039, section 3.3).
    """
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for size, next_size in pairwise(sizes):
        # In place, where the layer has just written: small networks wait for memory more than for arithmetic.
        layers += [nn.Linear(size, next_size), nn.ReLU(inplace=True)]
    last = nn.Linear(sizes[-1], outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)
