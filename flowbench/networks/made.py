"""MADE: a perceptron whose outputs for feature i depend only on the features before i."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class MADE(nn.Module):
    """Masked autoencoder for distribution estimation (Germain et al. 2015, 1502.03509, section 3).

    Features have degrees 1 … D in their given order; hidden degrees are spread evenly over 1 … D-1 and sorted.
    A hidden unit sees units of at most its degree, an output those of strictly lower degree than its feature.

    A context stands before the features. Its degree is 0, and so is that of some hidden units, so that the outputs for
    all features depend on it, even those for the first.

    Args:
        features: D.
        hidden: sizes of the hidden layers.
        outputs: parameters per feature.
        context: as many numbers before the features.
    """

    def __init__(self, features: int, hidden: Sequence[int], *, outputs: int, context: int = 0):
        super().__init__()
        self.features, self.outputs, self.context = features, outputs, context
        own, least = torch.arange(1, features + 1), 0 if context else 1
        inputs = torch.cat((torch.zeros(context, dtype=own.dtype), own)) if context else own
        degrees = [inputs, *(_hidden_degrees(size, features, least) for size in hidden)]
        self.layers = nn.ModuleList(nn.Linear(len(a), len(b)) for a, b in pairwise(degrees))
        self.last = nn.Linear(len(degrees[-1]), features * outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        for i, (below, above) in enumerate(pairwise(degrees)):
            self._register_mask(str(i), above[:, None] >= below)
        # The outputs of one feature lie side by side: (feature 1: first, second, …; feature 2: first, …).
        output_degrees = own.repeat_interleave(outputs)
        self._register_mask("last", output_degrees[:, None] > degrees[-1])
        # The number of units with degree at most d in each layer, for d in 0 … D; units are sorted by degree.
        self.counts = [[int((layer <= d).sum()) for d in range(features + 1)] for layer in degrees]

    def _register_mask(self, name: str, mask: Tensor) -> None:
        # As numbers: to multiply by truth values takes three times as long.
        self.register_buffer(f"mask_{name}", mask.to(self.last.weight.dtype), persistent=False)

    def extra_repr(self) -> str:
        return f"features={self.features}, outputs={self.outputs}, context={self.context}"

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, context + D)`` to ``(batch, D, outputs)``."""
        for i, layer in enumerate(self.layers):
            x = linear(x, layer.weight * getattr(self, f"mask_{i}"), layer.bias).relu_()
        x = linear(x, self.last.weight * self.mask_last, self.last.bias)
        return x.unflatten(1, (self.features, self.outputs))

    @torch.no_grad()
    def unroll(self, next_feature: Callable[[int, Tensor], Tensor], rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Compute features one by one, each from the network's outputs for it, without gradients.

        Every hidden unit depends only on the features up to its degree and is computed once, so all features
        together cost about as much arithmetic as one pass.

        Args:
            next_feature: takes the index i and the outputs for feature i, ``(batch, outputs)``, which depend on
                the features before i; returns feature i, ``(batch,)``.
            rows: ``(batch, context + D)``, of which the context is used.

        Returns:
            The rows with all features, ``(batch, context + D)``, and the hidden layers, ``(batch, size)`` each, for
            `solve_transposed`.
        """
        # No mask is multiplied here: a unit is given only the units below that it may see. Each unit is a row, so that
        # those of one degree lie together in memory.
        units = [rows.T.clone(memory_format=torch.contiguous_format)]
        units += [rows.new_empty(len(layer.bias), len(rows)) for layer in self.layers]

        def compute(degree: int) -> None:
            """The hidden units of this degree."""
            for depth, layer in enumerate(self.layers):
                first = self.counts[depth + 1][degree - 1] if degree else 0
                last, seen = self.counts[depth + 1][degree], self.counts[depth][degree]
                if first < last:
                    bias, weight = layer.bias[first:last, None], layer.weight[first:last, :seen]
                    torch.addmm(bias, weight, units[depth][:seen], out=units[depth + 1][first:last]).relu_()

        compute(0)
        for i in range(self.features):
            first, last = i * self.outputs, (i + 1) * self.outputs
            seen = self.counts[-1][i]
            outputs = torch.addmm(
                self.last.bias[first:last, None], self.last.weight[first:last, :seen], units[-1][:seen]
            )
            units[0][self.context + i] = next_feature(i, outputs.T)
            compute(i + 1)
        return units[0].T.contiguous(), [layer.T for layer in units[1:]]

    @torch.no_grad()
    def solve_transposed(
        self, hidden: list[Tensor], output_slopes: Tensor, diagonal: Tensor, gradient: Tensor
    ) -> Tensor:
        """Solve Jᵀ w = g for the Jacobian J of a map z_i = h(x_i, outputs_i(x_<i)), which is lower triangular.

        The context stays as it is.

        Back-substitution from the last feature to the first, through each hidden unit once. Like `unroll` this
        costs about as much arithmetic as one pass.

        Args:
            hidden: hidden layers at x, as `unroll` returned them.
            output_slopes: ∂z_i / ∂outputs_i, ``(batch, D, outputs)``.
            diagonal: ∂z_i / ∂x_i at fixed outputs, ``(batch, D)``.
            gradient: g, ``(batch, D)``.

        Returns:
            w, ``(batch, D)``.
        """
        # Gradients with respect to the units' inputs, and to the network's outputs (flattened).
        grads = [torch.empty_like(units) for units in hidden]
        output_grads = torch.empty_like(output_slopes).flatten(1)
        w = torch.empty_like(gradient)
        weights = [*(layer.weight for layer in self.layers), self.last.weight]
        above = [*grads, output_grads]
        for i in reversed(range(self.features)):
            # Units of degree i + 1. All units that see them are done already.
            for depth in reversed(range(len(hidden))):
                block = slice(self.counts[depth + 1][i], self.counts[depth + 1][i + 1])
                if block.start < block.stop:
                    last = depth == len(hidden) - 1
                    done = (i + 1) * self.outputs if last else self.counts[depth + 2][i]
                    value = above[depth + 1][:, done:] @ weights[depth + 1][done:, block]
                    grads[depth][:, block] = value * (hidden[depth][:, block] > 0)
            done = self.counts[1][i] if hidden else (i + 1) * self.outputs
            w[:, i] = (gradient[:, i] - above[0][:, done:] @ weights[0][done:, self.context + i]) / diagonal[:, i]
            rows = slice(i * self.outputs, (i + 1) * self.outputs)
            output_grads[:, rows] = w[:, i, None] * output_slopes[:, i]
        return w


def _hidden_degrees(size: int, features: int, least: int) -> Tensor:
    """Sorted degrees from ``least`` to D-1, spread evenly.

    For a single feature without a context all are 1, and no output sees them.
    """
    highest = max(features - 1, least)
    return (torch.arange(size) * (highest - least + 1) // size + least).clamp(max=highest)
