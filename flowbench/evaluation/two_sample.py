"""Distances between two samples."""

from __future__ import annotations

import torch
from torch import Tensor

_CHUNK = 2048


def two_sample(samples: Tensor, test: Tensor) -> dict[str, float]:
    """Sliced Wasserstein and energy distance between ``(n, D)`` and ``(m, D)``; equal sizes are compared."""
    n = min(len(samples), len(test))
    return {
        "sliced_wasserstein": sliced_wasserstein(samples[:n], test[:n]),
        "energy_distance": energy_distance(samples[:n], test[:n]),
    }


def sliced_wasserstein(x: Tensor, y: Tensor, projections: int = 256) -> float:
    """Mean 1-Wasserstein distance of projections onto random directions (Bonneel et al. 2015, section 3).

    Args:
        x, y: ``(n, D)`` each.
        projections: directions, uniform on the sphere, from torch's global random state.
    """
    directions = torch.randn(x.shape[1], projections, dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).to(x)
    return float(((x @ directions).sort(0).values - (y @ directions).sort(0).values).abs().double().mean())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'| over all pairs (Székely & Rizzo 2013, equation 5); O(n²) time.

    Pairs of a point with itself count, which keeps the distance from falling below zero.
    """
    return 2 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y)


def _mean_distance(x: Tensor, y: Tensor) -> float:
    # The matrix-product form of cdist is faster and loses digits that a difference of means needs.
    exact = "donot_use_mm_for_euclid_dist"
    sums = [torch.cdist(part, y, compute_mode=exact).sum(dtype=torch.float64) for part in x.split(_CHUNK)]
    return float(torch.stack(sums).sum()) / (len(x) * len(y))
