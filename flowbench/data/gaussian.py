"""A Gaussian in the plane with independent coordinates."""

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from flowbench.config import PositiveFloat
from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid


class Gaussian(SampledSource):
    """A 2-D Gaussian with the given mean and standard deviation along each axis.

    The data is not standardised. A flow must learn mean and standard deviation, and the report compares them with the
    truth.
    """

    mean: tuple[float, float]
    std: tuple[PositiveFloat, PositiveFloat]
    event = Event((2,), standardise=False)

    @cached_property
    def grid(self) -> Grid:
        low = min(m - 6 * s for m, s in zip(self.mean, self.std, strict=True))
        high = max(m + 6 * s for m, s in zip(self.mean, self.std, strict=True))
        return Grid.resolving(low, high, detail=min(self.std))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(self.mean, self.std, size=(n, 2))

    def log_density(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, dtype=torch.float64, device=x.device) for values in (self.mean, self.std))
        return torch.distributions.Normal(mean, std).log_prob(x.double()).sum(1)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.mean, self.std

    def entropy(self) -> float:
        return sum(math.log(std) + 0.5 * math.log(2 * math.pi * math.e) for std in self.std)


source = Gaussian
