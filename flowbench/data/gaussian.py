"""A Gaussian in the plane with independent coordinates."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid


@dataclass(frozen=True, kw_only=True)
class Gaussian(SampledSource):
    mean: tuple[float, float]
    std: tuple[float, float]

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(self.mean, self.std, size=(n, 2))

    def log_density(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, dtype=torch.float64, device=x.device) for values in (self.mean, self.std))
        return torch.distributions.Normal(mean, std).log_prob(x.double()).sum(1)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.mean, self.std

    def entropy(self) -> float:
        return sum(math.log(std) + 0.5 * math.log(2 * math.pi * math.e) for std in self.std)


def source(
    *,
    train: PositiveInt,
    validation: PositiveInt,
    test: PositiveInt,
    mean: tuple[float, float],
    std: tuple[PositiveFloat, PositiveFloat],
) -> Gaussian:
    """A 2-D Gaussian with the given mean and standard deviation along each axis.

    The data is not standardised. A flow must learn mean and standard deviation, and the report compares them with the
    truth.
    """
    low = min(m - 6 * s for m, s in zip(mean, std, strict=True))
    high = max(m + 6 * s for m, s in zip(mean, std, strict=True))
    return Gaussian(
        event=Event((2,), standardise=False),
        grid=Grid.resolving(low, high, detail=min(std)),
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
    )
