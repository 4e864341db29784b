"""Couplings of flow matching: which latent goes with which data.

Each takes a batch of latents x₀ and one of data x₁, both ``(batch, *event)``, and returns x₁ in the order of its
partners in x₀.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.numerics.assignment import assignment


def independent(x0: Tensor, x1: Tensor) -> Tensor:
    """Each with any, as they came."""
    return x1


@torch.no_grad()
def optimal_transport(x0: Tensor, x1: Tensor, batch: int | None = None) -> Tensor:
    """By the exact optimal plan between each ``batch`` consecutive points (Tong et al. 2024, 2302.00482, section 3.2).

    Without a ``batch`` one plan is made between all points.
    Between equally many points of equal weight the plan is a permutation. It is used as one: who draws pairs from the
    plan, as the paper does, uses some points twice and others not at all.
    """
    batch = batch or len(x0)
    parts = zip(x0.split(batch), x1.split(batch), strict=True)
    return torch.cat([b[assignment(a, b).to(b.device)] for a, b in parts])
