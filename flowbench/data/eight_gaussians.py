"""Eight equal Gaussians with their centres on a circle."""

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from flowbench.config import PositiveFloat
from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._mixture import log_mixture
from flowbench.numerics.quadrature import Grid


def centres(radius: float) -> np.ndarray:
    """``(8, 2)``, at multiples of 45 degrees."""
    angles = np.arange(8) * math.pi / 4
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


class EightGaussians(SampledSource):
    """Eight Gaussians with the given standard deviation, on a circle with the given radius."""

    radius: PositiveFloat
    std: PositiveFloat
    event = Event((2,))

    @cached_property
    def grid(self) -> Grid:
        reach = self.radius + 6 * self.std
        return Grid.resolving(-reach, reach, detail=self.std)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(centres(self.radius)[rng.integers(8, size=n)], self.std)

    def log_density(self, x: Tensor) -> Tensor:
        return log_mixture(x, torch.from_numpy(centres(self.radius)), torch.full((8,), 1 / 8), self.std)


source = EightGaussians
