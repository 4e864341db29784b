"""Standardisation of the features of the training data."""

import torch
from torch import Tensor

from flowbench.core import FlowModule, require_shape


class Standardise(FlowModule):
    """z = (x - mean) / std per feature, with moments that `initialise` takes from the training data.

    The moments are buffers: training does not change them, and a checkpoint holds them.

    Args:
        shape: event shape.
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("log_std", torch.zeros(shape))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.mean.shape)
        return (x - self.mean) * torch.exp(-self.log_std), -self.log_std.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.mean.shape)
        return z * torch.exp(self.log_std) + self.mean, self.log_std.sum().expand(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        values = x.double()
        std = values.std(0, unbiased=False)
        self.mean.copy_(values.mean(0))
        # A constant feature is centred and not scaled.
        self.log_std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)).log())
        return self.encode(x)[0]


def examples():
    return {"vector": (Standardise((5,)), (5,)), "image": (Standardise((2, 4, 4)), (2, 4, 4))}
