"""Flattening of images to vectors."""

import math

from torch import Tensor

from flowbench.core import FlowModule, constant_logdet, require_shape


class Flatten(FlowModule):
    """``(batch, *shape)`` as ``(batch, D)``, with log-determinant zero.

    Example:
        >>> import torch
        >>> layer = Flatten((3, 4, 4))
        >>> z, _ = layer.encode(torch.randn(7, 3, 4, 4))
        >>> z.shape, layer.decode(z)[0].shape
        (torch.Size([7, 48]), torch.Size([7, 3, 4, 4]))
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape

    def extra_repr(self) -> str:
        return f"shape={self.shape}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shape)
        return x.reshape(len(x), math.prod(self.shape)), constant_logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (math.prod(self.shape),))
        return z.reshape(len(z), *self.shape), constant_logdet(z)


def examples():
    return {"image": (Flatten((2, 4, 4)), (2, 4, 4))}
