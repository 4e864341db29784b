"""Two moons, to which models transport eight Gaussians (Tong et al. 2024, 2302.00482)."""

from dataclasses import dataclass

import numpy as np
from pydantic import PositiveInt

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._transport import EIGHT_GAUSSIANS, MOONS_GRID, moons


@dataclass(frozen=True, kw_only=True)
class EightGaussiansToMoons(SampledSource):
    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return moons(n, rng)


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> EightGaussiansToMoons:
    """The moons of `normal_to_moons`, with another start."""
    return EightGaussiansToMoons(
        event=Event((2,), standardise=False, start=EIGHT_GAUSSIANS),
        grid=MOONS_GRID,
        train=train,
        validation=validation,
        test=test,
    )
