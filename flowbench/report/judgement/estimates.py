"""Each metric of each cell over its seeds, with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flowbench.metrics import METRICS
from flowbench.report.judgement.simultaneous import LEVEL

# Fewer seeds have no interval: each of their values is shown.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Estimate:
    """A metric over the seeds of a cell that finished.

    Attributes:
        value: the seeds combined as the catalogue says.
        low, high: the ends of the 95 % interval of the mean; NaN of fewer than `FEWEST_SEEDS` seeds, and where a value
            is not finite.
        values: of the seeds.
        n: the number of examples, samples or points of a seed's value, the smallest if they differ.
    """

    value: float
    low: float
    high: float
    values: tuple[float, ...]
    n: int = 1

    @property
    def seeds(self) -> int:
        return len(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low)


def estimate(values: Iterable[float], *, size: bool = False) -> Estimate:
    """The mean with Student's t interval, which takes the seeds as draws from a normal distribution.

    Args:
        size: whether they are sizes. If all are positive, the interval is that of their logarithms, about the mean: it
            stays positive.
    """
    found = tuple(map(float, values))
    finite = all(map(math.isfinite, found))
    mean = (math.fsum if finite else sum)(found) / len(found)
    low = high = math.nan
    if len(found) >= FEWEST_SEEDS and finite:
        if size and min(found) > 0:
            factor = math.exp(min(_half(np.log(found)), 700.0))
            low, high = mean / factor, mean * factor
        else:
            half = _half(np.array(found))
            low, high = mean - half, mean + half
    return Estimate(mean, low, high, found)


def _half(values: NDArray[np.float64]) -> float:
    """Half the width of Student's interval of a mean."""
    return _quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


@cache
def _quantile(degrees: int) -> float:
    """The half width of an interval in standard errors, for ``degrees`` of freedom."""
    from scipy.stats import t

    return float(t.ppf(1 - LEVEL / 2, degrees))


class Estimates:
    """Every metric of every cell of a frame; of the seeds that finished."""

    def __init__(self, frame: pd.DataFrame):
        self._found: dict[tuple[str, str], Estimate] = {}
        finished = frame[~frame["lost"]]
        for (cell, metric), rows in finished.groupby(["cell", "metric"], sort=False):
            values = rows["value"].tolist()
            combined = METRICS[metric].combine(values)
            of_mean = estimate(values, size=not METRICS[metric].level)
            self._found[cell, metric] = replace(of_mean, value=combined, n=int(rows["n"].min()))

    def get(self, cell: str, metric: str) -> Estimate | None:
        """A metric of a cell; ``None`` where no seed has it."""
        return self._found.get((cell, metric))

    def value(self, cell: str, metric: str) -> float | None:
        """The same as one number."""
        found = self.get(cell, metric)
        return found.value if found else None

    def above_truth(self, cell: str) -> Estimate | None:
        """Bits per dim above those of the true density, on the same examples where they are on record."""
        bits = self.get(cell, "bits_per_dim")
        true = self.value(cell, METRICS["bits_per_dim"].truth)
        true = self.value(cell, "entropy_floor_bits_per_dim") if true is None else true
        if bits is None or true is None:
            return None
        return replace(estimate((value - true for value in bits.values), size=True), n=bits.n)
