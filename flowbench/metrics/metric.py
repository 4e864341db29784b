"""What must be known of a metric to print, combine or compare its values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flowbench.metrics.values import Better, Combine, combine

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
        over_seeds: how the values of several seeds are combined. The worst is the largest, or where higher is better
            the smallest; NaN counts as the worst value.
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
        level: whether its zero means nothing, as of a log-density. All others are sizes (errors, distances, times),
            which are compared by their ratios as long as they are positive.
        truth: the metric that holds what the value would be in truth; empty where there is none.
        short: the unit as it stands right after a value where there is little room.
        said: the unit as it stands after a value in a sentence.
    """

    unit: str
    better: Better | None
    about: str
    family: Family
    head: str = ""
    over_seeds: Combine = "mean"
    reproduces: Reproduces = "relative"
    host_dependent: bool = False
    group: Group | None = None
    form: Form = "interval"
    level: bool = False
    truth: str = ""
    short: str = ""
    said: str = ""

    @property
    def judged(self) -> bool:
        """Whether a report tells by it who is best. Verdicts compare means, so ``over_seeds`` is the mean then."""
        return self.better is not None and self.form in ("interval", "rate", "range")

    def combine(self, values: Iterable[float]) -> float:
        """One number for the values of one or more seeds."""
        return combine(list(values), self.over_seeds, self.better)
