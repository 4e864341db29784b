"""Vector fields that change with time: the right-hand sides of continuous flows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class VectorField(nn.Module):
    """v(t, x). A flow needs its values and its divergence, the sum of eᵀ (∂v/∂x) e over unit vectors e.

    Attributes:
        context: as many numbers at the front of a vector do not move, so that their velocity is zero.
    """

    context: int = 0

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """The velocity at ``x`` ``(batch, *event)`` at the time ``t``, a scalar or ``(batch,)``; of the shape of x."""
        raise NotImplementedError(f"{type(self).__name__} has no velocity")

    def quadratic_forms(self, t: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity and dᵀ (∂v/∂x) d for each of the ``directions`` d ``(k, batch, *event)``: ``(k, batch)``.

        Reverse-mode differentiation takes half the time of PyTorch's forward mode for convolutions.
        """
        count, batch = directions.shape[:2]
        differentiable = torch.is_grad_enabled()
        with torch.enable_grad():
            copies = x.repeat(count, *[1] * (x.dim() - 1))
            if not (differentiable and copies.requires_grad):
                copies = copies.detach().requires_grad_()
            values = self(t.repeat(count) if t.dim() else t, copies)
            rows = torch.autograd.grad(
                values, copies, directions.flatten(0, 1), create_graph=differentiable, materialize_grads=True
            )
        if not differentiable:
            values = values.detach()
        return values[:batch], (directions * rows[0].unflatten(0, (count, batch))).flatten(2).sum(2)


class PerceptronField(VectorField):
    """A perceptron on x and on sines and cosines of t, with SiLU between the layers.

    SiLU is smooth, which a solver of high order and a divergence need.

    Args:
        dims: D of the vectors ``(batch, D)``.
        hidden: sizes of the hidden layers.
        frequencies: time enters as t, sin(πkt) and cos(πkt) with k = 1 … ``frequencies``.
        context: as many numbers stand before the D that move.
    """

    def __init__(self, dims: int, hidden: Sequence[int], frequencies: int, *, context: int = 0):
        super().__init__()
        self.context = context
        self.register_buffer("frequencies", math.pi * torch.arange(1.0, frequencies + 1), persistent=False)
        self.time = nn.Linear(1 + 2 * frequencies, hidden[0])
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([context + dims, *hidden, dims]))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        h = self.layers[0](x) + self._time(t)
        for layer in self.layers[1:]:
            h = layer(nn.functional.silu(h))
        return self._still(h)

    def jvp(self, t: Tensor, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        # Forward mode by hand takes a third of the time of PyTorch's, and a solver calls this all the time.
        first, *layers = self.layers
        h, g = first(x) + self._time(t), tangents @ first.weight.T
        for layer in layers:
            gate = torch.sigmoid(h)
            h = h * gate
            g = g * (gate + h * (1 - gate))
            h, g = layer(h), g @ layer.weight.T
        return self._still(h), self._still(g)

    def quadratic_forms(self, t: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        velocity, products = self.jvp(t, x, directions)
        return velocity, (directions * products).flatten(2).sum(2)

    def _still(self, velocity: Tensor) -> Tensor:
        """The velocity with that of the context, which is zero, before it."""
        return nn.functional.pad(velocity, (self.context, 0)) if self.context else velocity

    def _time(self, t: Tensor) -> Tensor:
        angles = t[..., None] * self.frequencies
        return self.time(torch.cat((t[..., None], angles.sin(), angles.cos()), -1))
