"""Each metric of each cell over its seeds, with an interval, and which of several leads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pandas as pd

from flowbench.metrics import METRICS

# Of every interval and of every test.
LEVEL = 0.05
Mark = Literal["", "best", "tie"]


@dataclass(frozen=True)
class Estimate:
    """A metric over the seeds of a cell that finished.

    Attributes:
        value: the seeds combined as the catalogue says.
        half: half width of Student's 95 % interval of the mean; ``None`` of one seed, and where a value is not finite.
        seeds: how many there are.
        n: the number of examples, samples or points of a seed's value, the smallest if they differ.
        low, high: the least and the largest value of a seed.
    """

    value: float
    half: float | None
    seeds: int
    n: int = 1
    low: float = math.nan
    high: float = math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return self.value - (self.half or 0.0), self.value + (self.half or 0.0)

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value)


@cache
def quantile(degrees: int) -> float:
    """The half width of a 95 % interval in standard errors, for ``degrees`` of freedom."""
    from scipy.stats import t

    return float(t.ppf(1 - LEVEL / 2, degrees))


def estimate(values: Iterable[float], extra: float = 0.0) -> Estimate:
    """The mean and Student's t interval, which takes the seeds as draws from a normal distribution.

    Args:
        extra: a standard error beside what the seeds show, and independent of it. The degrees of freedom stay those
            of the seeds, which are the fewest that they can be.
    """
    found = list(map(float, values))
    n, finite = len(found), all(map(math.isfinite, found))
    half = None
    if n > 1 and finite:
        half = quantile(n - 1) * math.hypot(float(np.std(found, ddof=1)) / math.sqrt(n), extra)
    return Estimate((math.fsum if finite else sum)(found) / n, half, n, 1, min(found), max(found))


class Estimates:
    """Every metric of every cell of a frame; of the seeds that finished."""

    def __init__(self, frame: pd.DataFrame):
        self._found: dict[tuple[str, str], Estimate] = {}
        finished = frame[~frame["lost"]]
        for (cell, metric), rows in finished.groupby(["cell", "metric"], sort=False):
            values = rows["value"].tolist()
            combined = METRICS[metric].combine(values)
            self._found[cell, metric] = replace(estimate(values), value=combined, n=int(rows["n"].min()))

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
        true = self.value(cell, "true_bits_per_dim")
        true = self.value(cell, "entropy_floor_bits_per_dim") if true is None else true
        return replace(bits, value=bits.value - true) if bits and true is not None else None


def marks(estimates: Sequence[Estimate | None], better: Literal["lower", "higher"]) -> list[Mark]:
    """Mark the best estimate if its interval overlaps no other; else it and all whose mean lies in its interval.

    The rest stay unmarked even where their intervals reach the leader's: an uncertain estimate is not a good one.
    Nothing is marked where the leading estimate has no interval, and nothing is best where another has none.
    """
    ranked = {i: e for i, e in enumerate(estimates) if e and e.finite}
    result: list[Mark] = [""] * len(estimates)
    if len(ranked) < 2:
        return result
    leader = (min if better == "lower" else max)(ranked.values(), key=lambda e: e.value)
    if leader.half is None:
        return result
    low, high = leader.interval
    known = all(e.half is not None for e in ranked.values())
    alone = known and sum(_overlap(e, leader) for e in ranked.values()) == 1
    for i, e in ranked.items():
        if low <= e.value <= high:
            result[i] = "best" if alone else "tie"
    return result


def _overlap(a: Estimate, b: Estimate) -> bool:
    return a.interval[0] <= b.interval[1] and b.interval[0] <= a.interval[1]
