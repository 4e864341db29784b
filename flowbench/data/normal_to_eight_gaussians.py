"""Eight Gaussians on a circle, to which models transport a standard normal (Tong et al. 2024, 2302.00482)."""

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._mixture import log_mixture
from flowbench.data._transport import EIGHT_GAUSSIANS, EIGHT_GAUSSIANS_GRID, eight_gaussians


@dataclass(frozen=True, kw_only=True)
class NormalToEightGaussians(SampledSource):
    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return eight_gaussians(n, rng)

    def log_density(self, x: Tensor) -> Tensor:
        centres = torch.tensor(EIGHT_GAUSSIANS.centres, dtype=torch.float64)
        return log_mixture(x, centres, torch.full((8,), 1 / 8), EIGHT_GAUSSIANS.std)


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> NormalToEightGaussians:
    """Eight Gaussians. Models do not standardise them, because the cost of a transport depends on the scale."""
    return NormalToEightGaussians(
        event=Event((2,), standardise=False), grid=EIGHT_GAUSSIANS_GRID, train=train, validation=validation, test=test
    )
