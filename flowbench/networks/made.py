"""MADE: a perceptron whose outputs for feature i see the features before i only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu


class MADE(nn.Module):
    """Masked autoencoder for distribution estimation (Germain et al. 2015, 1502.03509, section 3).

    Features have degrees 1 … D in their given order; hidden degrees are spread evenly over 1 … D-1 and sorted.
    A hidden unit sees units of at most its degree, an output those of strictly lower degree than its feature.

    Args:
        features: D.
        hidden: sizes of the hidden layers.
        outputs: parameters per feature.
    """

    def __init__(self, features: int, hidden: Sequence[int], *, outputs: int):
        super().__init__()
        self.features, self.outputs = features, outputs
        degrees = [torch.arange(1, features + 1), *(_hidden_degrees(size, features) for size in hidden)]
        self.layers = nn.ModuleList(nn.Linear(len(a), len(b)) for a, b in zip(degrees, degrees[1:], strict=False))
        self.last = nn.Linear(len(degrees[-1]), features * outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        for i, (below, above) in enumerate(zip(degrees, degrees[1:], strict=False)):
            self.register_buffer(f"mask_{i}", above[:, None] >= below, persistent=False)
        # The outputs of one feature lie side by side: (feature 1: first, second, …; feature 2: first, …).
        output_degrees = degrees[0].repeat_interleave(outputs)
        self.register_buffer("mask_last", output_degrees[:, None] > degrees[-1], persistent=False)
        # How many units of each layer have degree at most d, for d in 0 … D; units are sorted by degree.
        self.counts = [[int((layer <= d).sum()) for d in range(features + 1)] for layer in degrees]

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, D)`` to ``(batch, D, outputs)``."""
        for i, layer in enumerate(self.layers):
            x = relu(linear(x, layer.weight * getattr(self, f"mask_{i}"), layer.bias))
        x = linear(x, self.last.weight * self.mask_last, self.last.bias)
        return x.unflatten(1, (self.features, self.outputs))

    def unroll(self, next_feature: Callable[[int, Tensor], Tensor], batch: int) -> Tensor:
        """Compute features one by one, each from the network's outputs for it.

        Args:
            next_feature: takes the index i and the outputs for feature i, ``(batch, outputs)``, which depend on
                the features before i; returns feature i, ``(batch,)``.
            batch: number of examples.

        Returns:
            All features, ``(batch, D)``. Every hidden unit is computed exactly once.
        """
        # Units known so far, by layer, in blocks of equal degree. Masks need no multiplication here: a block
        # uses just those units of the layer below that it may see.
        known: list[list[Tensor]] = [[] for _ in self.counts]
        empty = self.last.weight.new_zeros(batch, 0)
        for i in range(self.features):
            seen = torch.cat([empty, *known[-1]], 1)
            rows = slice(i * self.outputs, (i + 1) * self.outputs)
            outputs = linear(seen, self.last.weight[rows, : seen.shape[1]], self.last.bias[rows])
            known[0].append(next_feature(i, outputs)[:, None])
            for depth, layer in enumerate(self.layers, start=1):
                first, last = self.counts[depth][i], self.counts[depth][i + 1]
                if first < last:
                    below = torch.cat(known[depth - 1], 1)
                    block = linear(below, layer.weight[first:last, : below.shape[1]], layer.bias[first:last])
                    known[depth].append(relu(block))
        return torch.cat(known[0], 1)


def _hidden_degrees(size: int, features: int) -> Tensor:
    """Sorted degrees in 1 … D-1, spread evenly. With one feature there is nothing to see: degree 1 reaches no output."""
    highest = max(features - 1, 1)
    return (torch.arange(size) * highest // size + 1).clamp(max=highest)
