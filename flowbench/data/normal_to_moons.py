"""Two moons, to which models transport a standard normal (Tong et al. 2024, 2302.00482)."""

from dataclasses import dataclass

import numpy as np
from pydantic import PositiveInt

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._transport import MOONS_GRID, moons


@dataclass(frozen=True, kw_only=True)
class NormalToMoons(SampledSource):
    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return moons(n, rng)


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> NormalToMoons:
    """Two moons. Models do not standardise them, because the cost of a transport depends on the scale."""
    return NormalToMoons(
        event=Event((2,), standardise=False), grid=MOONS_GRID, train=train, validation=validation, test=test
    )
