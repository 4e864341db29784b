"""Invertible 1×1 convolution, kept in its LU decomposition."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import conv2d

from flowbench.core import full_precision, require_shape
from flowbench.layers.linear import InvertibleLinear


class InvertibleConv1x1(InvertibleLinear):
    """`InvertibleLinear` over the channels of each pixel (Kingma & Dhariwal 2018, 1807.03039, section 3.2).

    The log-determinant is that of the matrix, once for each of the H·W pixels.

    Args:
        dims: C, the number of channels.

    Example:
        >>> import torch
        >>> layer, x = InvertibleConv1x1(3), torch.randn(7, 3, 4, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 3, 4, 4]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-5)
        True
    """

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, (len(self.log_scale), *x.shape[-2:]))
        with full_precision(x):
            return conv2d(x, self._weight()[:, :, None, None]), self._logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (len(self.log_scale), *z.shape[-2:]))
        pixels = z.transpose(0, 1)
        with full_precision(z):
            return self._solve(pixels.flatten(1)).view_as(pixels).transpose(0, 1), -self._logdet(z)

    def _logdet(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * math.prod(x.shape[2:])).expand(len(x))


def examples():
    return {"image": (InvertibleConv1x1(4), (4, 2, 3))}
