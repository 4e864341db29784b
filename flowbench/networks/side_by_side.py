"""The networks of an affine coupling: one for scale and shift together, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

Networks = Literal["joint", "separate"]


class SideBySide(nn.Module):
    """Two networks of one input, whose outputs are joined along the first axis of the event: the first one's first."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.first(x), self.second(x)), 1)


def scale_and_shift(
    network: Callable[[int, list[int], int], nn.Module],
    inputs: int,
    hidden: list[int],
    changed: int,
    networks: Networks,
) -> nn.Module:
    """From ``(batch, inputs, …)`` to log-scales and shifts, ``(batch, 2 · changed, …)``.

    Args:
        network: makes a network from its inputs, its hidden layers and its outputs, such as `mlp`.
        networks: ``joint``: one network gives both; ``separate``: the scales have a network, and the shifts another.
    """
    if networks == "joint":
        return network(inputs, hidden, 2 * changed)
    return SideBySide(network(inputs, hidden, changed), network(inputs, hidden, changed))
