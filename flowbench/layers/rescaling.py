"""Diagonal rescaling: the last layer of NICE, whose couplings preserve volume."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape


class Rescaling(FlowModule):
    """z = x ⊙ exp(s) with one s per feature (Dinh et al. 2015, 1410.8516, section 3.3)."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.log_scale.shape)
        return x * torch.exp(self.log_scale), self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.log_scale.shape)
        return z * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(z))


def examples():
    return {"vector": (Rescaling((5,)), (5,)), "image": (Rescaling((2, 4, 4)), (2, 4, 4))}
