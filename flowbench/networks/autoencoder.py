"""The two halves of a convolutional autoencoder of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import nn

from flowbench.core import ShapeError


def encoder(shape: tuple[int, ...], channels: Sequence[int], latent: int) -> nn.Sequential:
    """A ReLU network from images ``(batch, *shape)`` to vectors ``(batch, latent)``.

    Convolutions of 4×4 with stride 2, one for each of ``channels``, halve height and width; a linear map ends it.

    Raises:
        ShapeError: the height or the width cannot be halved once for each of ``channels``.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise([shape[0], *channels]):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(prod(_halved(shape, channels)), latent))


def decoder(shape: tuple[int, ...], channels: Sequence[int], latent: int) -> nn.Sequential:
    """The mirror image of `encoder`, from ``(batch, latent)`` to ``(batch, *shape)`` in the unit interval."""
    small = _halved(shape, channels)
    layers: list[nn.Module] = [nn.Linear(latent, prod(small)), nn.Unflatten(1, small)]
    for inputs, outputs in pairwise([*reversed(channels), shape[0]]):
        layers += [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.Sigmoid())


def _halved(shape: tuple[int, ...], channels: Sequence[int]) -> tuple[int, int, int]:
    """The shape that the convolutions give to images of ``shape``."""
    factor = 2 ** len(channels)
    if len(shape) != 3 or shape[1] % factor or shape[2] % factor:
        raise ShapeError(f"expected images (C, H, W) whose height and width {factor} divides, got {shape}")
    return channels[-1], shape[1] // factor, shape[2] // factor
