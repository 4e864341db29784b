"""Couplings of flow matching: which latent goes with which data.

Each takes a batch of latents x₀ and one of data x₁, both ``(batch, *event)``, and returns x₁ in the order of its
partners in x₀.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.numerics.assignment import assignment


def independent(x0: Tensor, x1: Tensor) -> Tensor:
    """Leave the pairs as they came."""
    return x1


@torch.no_grad()
def optimal_transport(x0: Tensor, x1: Tensor, batch: int | None = None) -> Tensor:
    """By the exact optimal plan between each ``batch`` consecutive points (Tong et al. 2024, 2302.00482, section 3.2).

    Without a ``batch`` there is one plan between all points. Both sides have the same number of points with equal
    weights, so the plan is a permutation and is used as one. The paper draws pairs from the plan instead, which uses
    some points twice and others never.
    """
    batch = batch or len(x0)
    parts = zip(x0.split(batch), x1.split(batch), strict=True)
    return torch.cat([b[assignment(a, b).to(b.device)] for a, b in parts])
