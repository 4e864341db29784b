"""Eight equal Gaussians with their centres on a circle."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._mixture import log_mixture
from flowbench.numerics.quadrature import Grid


def centres(radius: float) -> np.ndarray:
    """``(8, 2)``, at multiples of 45 degrees."""
    angles = np.arange(8) * math.pi / 4
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


@dataclass(frozen=True, kw_only=True)
class EightGaussians(SampledSource):
    radius: float
    std: float

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(centres(self.radius)[rng.integers(8, size=n)], self.std)

    def log_density(self, x: Tensor) -> Tensor:
        return log_mixture(x, torch.from_numpy(centres(self.radius)), torch.full((8,), 1 / 8), self.std)


def source(
    *,
    train: PositiveInt,
    validation: PositiveInt,
    test: PositiveInt,
    radius: PositiveFloat,
    std: PositiveFloat,
) -> EightGaussians:
    """Eight Gaussians with the given standard deviation, on a circle with the given radius."""
    reach = radius + 6 * std
    return EightGaussians(
        event=Event((2,)),
        grid=Grid.resolving(-reach, reach, detail=std),
        train=train,
        validation=validation,
        test=test,
        radius=radius,
        std=std,
    )
