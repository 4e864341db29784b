"""Flattening of images to vectors."""

import math

from torch import Tensor

from flowbench.core import FlowModule, constant_logdet, require_shape


class Flatten(FlowModule):
    """``(batch, *shape)`` as ``(batch, D)``, with log-determinant zero."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shape)
        return x.reshape(len(x), math.prod(self.shape)), constant_logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (math.prod(self.shape),))
        return z.reshape(len(z), *self.shape), constant_logdet(z)


def examples():
    return {"image": (Flatten((2, 4, 4)), (2, 4, 4))}
