"""Round trips and log-determinants of layers and flows at random parameters."""

from __future__ import annotations

import copy

import torch
from torch import nn

from flowbench.core import Check, FlowModule, seeded

# What float64 must reach: a planar map that is solved numerically loses some digits of the solution.
LARGEST_ROUND_TRIP_ERROR = 1e-8
LARGEST_LOGDET_ERROR = 1e-8


def randomised(module: nn.Module, seed: int = 0, scale: float = 0.1) -> nn.Module:
    """A copy of ``module`` with noise added to every parameter, of a size that a wide network bears.

    Layers start as the identity, and there a wrong log-determinant looks right.
    """
    module = copy.deepcopy(module)
    with seeded(seed), torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.add_(scale * fan_in**-0.5 * torch.randn_like(parameter))
    return module


def certify(module: FlowModule, shape: tuple[int, ...], *, points: int = 8, seed: int = 0) -> Check:
    """`FlowModule.check` of a randomised copy of ``module`` at random events of ``shape``."""
    module = randomised(module, seed)
    with seeded(seed + 1):
        # In (0.1, 0.9), which is in the domain of the logit as well.
        x = 0.1 + 0.8 * torch.rand(points, *shape, dtype=torch.float64)
    return module.check(x)
