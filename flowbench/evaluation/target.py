"""Closeness to a target whose density is known up to a constant."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.numerics.quadrature import Grid, log_integral


def kl_to_target(model_log_prob: Tensor, target_log_energy: Tensor, grid: Grid) -> float:
    """KL(model ‖ target) in nats by quadrature.

    Args:
        model_log_prob, target_log_energy: ``(size²,)`` on the grid, in nats; the energy's normaliser is computed
            on the same grid.
    """
    log_q, log_p = model_log_prob.double(), target_log_energy.double()
    log_p = log_p - log_integral(log_p, grid)
    q = log_q.exp()
    # Where the model has no mass its log may be -inf, and the integrand is zero.
    integrand = torch.where(q > 0, q * (log_q - log_p), torch.zeros_like(q))
    return float(integrand.sum()) * grid.cell_area


def minor_mode_share(samples: Tensor) -> float:
    """Share of ``(n, 2)`` samples on the less visited side of x₁ = 0, where the modes of the two-mode energy part."""
    right = float((samples[:, 0] > 0).double().mean())
    return min(right, 1 - right)
