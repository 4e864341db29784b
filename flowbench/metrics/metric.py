"""What must be known of a metric to print, combine or compare its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Combine = Literal["mean", "worst"]
Reproduces = Literal["exact", "relative", "share", "rounding"]
Form = Literal["interval", "mean", "power", "count", "share", "rate", "range", "times"]
Family = Literal[
    "quality",
    "likelihood",
    "truth",
    "moments",
    "float32",
    "float64",
    "log-determinant",
    "density",
    "stress",
    "solver",
    "few steps",
    "autoencoder",
    "distillation",
    "size",
    "cost",
]


class Measured(NamedTuple):
    """A value and the number of examples, samples or points that it is over; 1 for what is counted or timed once."""

    value: float
    n: int


def over(n: int, values: Mapping[str, float]) -> dict[str, Measured]:
    """Some metrics that were all measured over ``n`` examples."""
    return {name: Measured(float(value), n) for name, value in values.items()}


@dataclass(frozen=True)
class Group:
    """Metrics that differ in a number or a start alone, and share one entry of the glossary.

    Attributes:
        head: what they are called together.
        names: their names, with capitals for what differs.
        unit: of their values.
        about: their meaning in one or two sentences.
    """

    head: str
    names: str
    unit: str
    about: str


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    Attributes:
        unit: of its values; empty for a pure number.
        better: whether lower or higher values are better; ``None`` where neither is.
        about: one sentence for the reader of a report.
        family: the table that it belongs to.
        head: of its column in that table; empty where it has none.
        seeds: how the values of several seeds are combined. The worst is the largest, or where higher is better the
            smallest; nothing is worse than a value that is not a number.
        reproduces: what must come back on another machine. ``exact``: the same value. ``relative``: the value within a
            tolerance relative to its size. ``share``: the value within the tolerance itself, for shares and for errors
            that are relative already. ``rounding``: whether the value is finite, for errors near rounding or near a
            solver's tolerance, and for counts that such errors decide.
        host_dependent: whether another machine gives another value even from the same weights.
        group: with which it shares an entry of the glossary.
        form: how a table writes it. ``interval``: the mean with Student's interval over the seeds; ``mean``: three
            digits; ``power``: with a power of ten, for what spans many orders; ``count``: a whole number; ``share``:
            four decimals; ``rate``: in thousands or millions; ``range``: from the least of any seed to the most;
            ``times``: the same for a factor.
    """

    unit: str
    better: Literal["lower", "higher"] | None
    about: str
    family: Family
    head: str = ""
    seeds: Combine = "mean"
    reproduces: Reproduces = "relative"
    host_dependent: bool = False
    group: Group | None = None
    form: Form = "interval"

    def combine(self, values: Iterable[float]) -> float:
        """One number for the values of several seeds, of which there must be one at least."""
        values = list(values)
        if self.seeds == "mean":
            return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)
        if any(map(math.isnan, values)):
            return math.inf if self.better != "higher" else -math.inf
        return min(values) if self.better == "higher" else max(values)
