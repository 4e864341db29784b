"""A Gaussian with independent coordinates, on the line or in the plane."""

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
    """A Gaussian with the given mean and standard deviation along each of one or two axes.

    The data is not standardised. A flow must learn mean and standard deviation, and the report compares them with the
    truth.
    """

    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.mean) == len(self.std) <= 2:
            raise ValueError("mean and std need a number each for one axis or for two")

    @property
    def event(self) -> Event:
        return Event((len(self.mean),), standardise=False)

    @cached_property
    def grid(self) -> Grid | None:
        if len(self.mean) == 1:
            return None
        low = min(m - 6 * s for m, s in zip(self.mean, self.std, strict=True))
        high = max(m + 6 * s for m, s in zip(self.mean, self.std, strict=True))
        return Grid.resolving(low, high, detail=min(self.std))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(self.mean, self.std, size=(n, len(self.mean)))

    def log_density(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, dtype=torch.float64, device=x.device) for values in (self.mean, self.std))
        return torch.distributions.Normal(mean, std).log_prob(x.double()).sum(1)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.mean, self.std

    def entropy(self) -> float:
        return sum(math.log(std) + 0.5 * math.log(2 * math.pi * math.e) for std in self.std)


source = Gaussian
