"""Squeeze: space into channels."""

from __future__ import annotations

from torch import Tensor

from flowbench.core import FlowModule, ShapeError, constant_logdet, require_shape


class Squeeze(FlowModule):
    """``(batch, C, H, W)`` as ``(batch, 4C, H/2, W/2)``, with log-determinant zero (Dinh et al. 2017, 1605.08803, 3.6).

    The pixels of each 2×2 block become channels in the order of the block's rows, each with all of its colours: the
    first half of the channels is the upper row.

    Args:
        shape: event shape (C, H, W).

    Attributes:
        latent_shape: (4C, H/2, W/2).

    Raises:
        ShapeError: the height or the width is odd.

    Example:
        >>> import torch
        >>> layer = Squeeze((3, 8, 8))
        >>> z, _ = layer.encode(torch.randn(7, 3, 8, 8))
        >>> z.shape, layer.decode(z)[0].shape
        (torch.Size([7, 12, 4, 4]), torch.Size([7, 3, 8, 8]))
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        if len(shape) != 3 or shape[1] % 2 or shape[2] % 2:
            raise ShapeError(f"squeeze takes images (C, H, W) of even height and width, got {shape}")
        channels, height, width = shape
        self.shape = shape
        self.latent_shape = (4 * channels, height // 2, width // 2)

    def extra_repr(self) -> str:
        return f"shape={self.shape}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shape)
        _, height, width = self.latent_shape
        blocks = x.unflatten(3, (width, 2)).unflatten(2, (height, 2))
        return blocks.permute(0, 3, 5, 1, 2, 4).flatten(1, 3), constant_logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.latent_shape)
        blocks = z.unflatten(1, (2, 2, z.shape[1] // 4))
        return blocks.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3), constant_logdet(z)


def examples():
    return {"image": (Squeeze((2, 4, 6)), (2, 4, 6))}
