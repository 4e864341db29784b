"""Means with their intervals, which of them is best, and how a number is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Literal, TypeGuard

from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean over ``n`` seeds and the half width of its 95 % interval, ``None`` for a single seed."""

    mean: float
    half: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        return self.mean - (self.half or 0.0), self.mean + (self.half or 0.0)


def estimate(values: Sequence[float]) -> Estimate:
    """The mean and Student's t interval, which takes the seeds as draws from a normal distribution."""
    n = len(values)
    if n == 1 or not all(map(math.isfinite, values)):
        return Estimate(sum(values) / n, None, n)
    return Estimate(mean(values), float(stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n), n)


def marks(estimates: Sequence[Estimate | None], better: Literal["lower", "higher"]) -> list[Literal["", "best", "tie"]]:
    """Mark the best estimate if its interval overlaps no other; else it and all whose mean lies in its interval.

    The rest stay unmarked even where their intervals reach the leader's: an uncertain estimate is not a good one.
    Nothing is marked where the leading estimate has no interval, and nothing is best where another has none.
    """
    ranked = {i: e for i, e in enumerate(estimates) if e and math.isfinite(e.mean)}
    result: list[Literal["", "best", "tie"]] = [""] * len(estimates)
    if len(ranked) < 2:
        return result
    leader = (min if better == "lower" else max)(ranked.values(), key=lambda e: e.mean)
    if leader.half is None:
        return result
    low, high = leader.interval
    known = all(e.half is not None for e in ranked.values())
    alone = known and sum(overlap(e, leader) for e in ranked.values()) == 1
    for i, e in ranked.items():
        if low <= e.mean <= high:
            result[i] = "best" if alone else "tie"
    return result


def overlap(a: Estimate, b: Estimate) -> bool:
    """Whether two intervals share a point."""
    return a.interval[0] <= b.interval[1] and b.interval[0] <= a.interval[1]


# From here on digits say nothing; a training that ends there is as good as diverged.
_ASTRONOMIC = 1e12


def spread(e: Estimate | None, *, count: bool = True) -> str:
    """``0.2184 ± 0.0021``: two digits of the interval, and the mean to the same place.

    Without an interval ``0.2184 (n = 1)``, or no ``count`` where the table says it once.
    """
    if e is None or not _ordinary(e.mean):
        return _unusual(e.mean if e else None)
    if e.half is None:
        return _fixed(e.mean, _places(abs(e.mean) / 100)) + (f" (n = {e.n})" if count else "")
    # No more places than four, or than three digits of a small mean.
    places = min(_places(e.half), max(4, _places(abs(e.mean) / 10)))
    half = f"{e.half:,.{places}f}"
    return f"{_fixed(e.mean, places)} ± {half if e.half >= 0.5 * 10.0**-places else f'<{10.0**-places:.{places}f}'}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent and with thousands apart."""
    if not _ordinary(value):
        return _unusual(value)
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return _fixed(round(value, places), max(0, places))


def at_most(value: float, digits: int = 2) -> str:
    """The least number of so many significant digits that is not below a value."""
    if not _ordinary(value) or value == 0:
        return significant(value, digits)
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    # What is a whole number of units but for its last bit is none more.
    return significant(math.ceil(round(value / unit, 9)) * unit, digits)


def span(values: Sequence[float]) -> str:
    """The smallest and the largest of some numbers, ``14–16``; one number where they are written alike."""
    ends = list(dict.fromkeys(significant(value, 2) for value in (min(values), max(values)))) if values else []
    return "–".join(ends) if len(ends) > 1 else significant(max(values, default=None))


def power(value: float | None) -> str:
    """A size that spans many orders: ``2.4 × 10⁻⁷``."""
    if not _ordinary(value):
        return _unusual(value)
    if value == 0:
        return "0"
    return _powers_of_ten(value)


def rate(value: float | None) -> str:
    """A throughput to three digits: ``12.3 k``, ``1.20 M``."""
    if value is None or not math.isfinite(value):
        return significant(value)
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{significant(value / size)} {unit}"
    return significant(value)


def _ordinary(value: float | None) -> TypeGuard[float]:
    """Whether the digits of ``value`` say something."""
    return value is not None and abs(value) < _ASTRONOMIC


def _unusual(value: float | None) -> str:
    """What stands in the place of digits that say nothing."""
    if value is None:
        return "–"
    return _powers_of_ten(value) if math.isfinite(value) else "not finite"


def _powers_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')} × 10{raised}"


def _places(value: float) -> int:
    """Decimal places that show two digits of ``value``."""
    return max(0, 1 - math.floor(math.log10(value))) if value > 0 else 4


def _fixed(value: float, places: int) -> str:
    """With a proper minus sign, and none before a zero."""
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "−")
