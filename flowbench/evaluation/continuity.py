"""The continuity equation ∂p/∂t + ∇·(p v) = 0 between the density p and the field v of a continuous flow."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from flowbench.flows._continuous import ContinuousModel
from flowbench.networks.field import VectorField

# Of the Runge-Kutta method of order 4, whose error does not jump from point to point as that of an adaptive one.
_STEPS = 60
# Of the differences. They err by its square over that of the width of the density, which may be below 1e-3.
_H = 1e-6


def velocity_and_divergence(field: VectorField, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """v ``(n, D)`` and ∇·v ``(n,)`` at ``x`` ``(n, D)`` and the times ``t`` ``(n,)``."""
    units = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    velocity, terms = field.quadratic_forms(t, x, units[:, None].expand(-1, *x.shape))
    return velocity, terms.sum(0)


@torch.no_grad()
def log_density(model: ContinuousModel, t: Tensor, x: Tensor) -> Tensor:
    """log p_t(x) in nats, ``(n,)``, at the points ``x`` ``(n, D)`` of paths and a time ``t`` ``(n,)`` for each.

    p_t is the density of the paths at t: log p_t(x_t) = log p_0(x_0) - ∫₀ᵗ ∇·v ds (Chen et al. 2018, 1806.07366,
    equation 8).
    """
    from torchdiffeq import odeint

    def derivative(s: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """By s, which goes from 0 at the time t to 1 at the time 0."""
        velocity, divergence = velocity_and_divergence(model.flow.field, (1 - s) * t, state[0])
        return -t[:, None] * velocity, -t * divergence

    state, way = (x, x.new_zeros(len(x))), x.new_tensor([0, 1])
    starts, totals = odeint(derivative, state, way, method="rk4", options={"step_size": 1 / _STEPS})
    return model.log_start(starts[-1]) + totals[-1]


@torch.no_grad()
def continuity(model: ContinuousModel, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """∂p/∂t and the residual ∂p/∂t + ∇·(p v), ``(n,)`` float64 each, by central differences of `log_density`.

    The method itself leaves over some 1e-4 of ∂p/∂t where a trained field is steepest, and far less elsewhere.

    Args:
        t, x: times ``(n,)`` and points ``(n, D)`` of paths.
    """
    model = copy.deepcopy(model).double()
    t, x = t.double(), x.double()
    count, dims = x.shape
    aside = _H * torch.eye(dims, dtype=x.dtype, device=x.device)
    moved = torch.cat([x + move for move in (*aside, *-aside)])
    points = torch.cat([x, x, x, moved])
    times = torch.cat([t, t + _H, t - _H, t.repeat(2 * dims)])
    p, later, earlier, *around = log_density(model, times, points).exp().split(count)
    rate = (later - earlier) / (2 * _H)
    gradient = torch.stack([(around[i] - around[dims + i]) / (2 * _H) for i in range(dims)], 1)
    velocity, divergence = velocity_and_divergence(model.flow.field, t, x)
    return rate, rate + p * divergence + (gradient * velocity).sum(1)
