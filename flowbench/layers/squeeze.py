"""Squeeze: space into channels."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from flowbench.core import FlowModule, ShapeError


class Squeeze(FlowModule):
    """``(batch, C, H, W)`` as ``(batch, 4C, H/2, W/2)``, with log-determinant zero (Dinh et al. 2017, 1605.08803, 3.6).

    The four pixels of each 2×2 block become four channels that lie side by side.

    Args:
        shape: event shape (C, H, W).

    Attributes:
        latent_shape: (4C, H/2, W/2).

    Raises:
        ShapeError: a height or width that is odd.
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        if len(shape) != 3 or shape[1] % 2 or shape[2] % 2:
            raise ShapeError(f"squeeze takes images (C, H, W) of even height and width, got {shape}")
        channels, height, width = shape
        self.latent_shape = (4 * channels, height // 2, width // 2)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return pixel_shuffle(z, 2), z.new_zeros(len(z))


def examples():
    return {"image": (Squeeze((2, 4, 6)), (2, 4, 6))}
