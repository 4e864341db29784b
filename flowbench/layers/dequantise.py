"""Uniform dequantisation: from grey levels to the unit interval."""

import math

import torch
from torch import Tensor

from flowbench.core import FlowModule, constant_logdet


class Dequantise(FlowModule):
    """x = (k + u) / K for grey level k in 0 … K-1 and u uniform on [0, 1) (Theis et al. 2016, 1511.01844).

    The expected log-density of x, less D log K, bounds the log-probability of the levels from below. The noise
    comes from torch's global random state, so this is no bijection: `decode` rounds down to the level again.

    Args:
        levels: K. The divisor is K and not K - 1: the unit interval holds K bins.
    """

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        return (x + torch.rand_like(x)) / self.levels, constant_logdet(x, -math.log(self.levels))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z * self.levels).floor().clamp(0, self.levels - 1), constant_logdet(z, math.log(self.levels))


def examples():
    """None: it is random, so it has tests of its own."""
    return {}
