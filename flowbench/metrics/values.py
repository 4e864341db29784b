"""Measured values, and how those of several seeds are combined."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Combine = Literal["mean", "worst"]
Better = Literal["lower", "higher"]


class Measured(NamedTuple):
    """A value and the number of examples, samples or points that it is over; 1 for what is counted or timed once."""

    value: float
    n: int


def over(n: int, values: Mapping[str, float]) -> dict[str, Measured]:
    """Some metrics that were all measured over ``n`` examples."""
    return {name: Measured(float(value), n) for name, value in values.items()}


def combine(values: Sequence[float], how: Combine, better: Better | None) -> float:
    """One number for the values of one or more seeds.

    The worst is the largest or, where higher is better, the smallest. NaN counts as the worst value.
    """
    if how == "mean":
        return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else sum(values) / len(values)
    if any(map(math.isnan, values)):
        return -math.inf if better == "higher" else math.inf
    return min(values) if better == "higher" else max(values)
