"""Timing in turns: each round times every candidate once, so that a slow moment of the machine meets them all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import NamedTuple

# The fewest rounds, however long a call takes.
LEAST_ROUNDS = 3
# Seconds that one candidate may take in all, beyond the fewest rounds.
_LIMIT = 20.0
# After a call that takes longer, no other is needed to warm up.
_LONG = 0.5


class Time(NamedTuple):
    """Seconds of one call, over the rounds.

    Attributes:
        median: of the rounds.
        low, high: the quartiles.
        rounds: how many.
    """

    median: float
    low: float
    high: float
    rounds: int


def in_turns(tasks: Mapping[str, Callable[[], object]], *, rounds: int, seconds: float = 0.1) -> dict[str, Time]:
    """Time each task in every round, for about ``seconds`` each, after calls to warm up.

    Each round has an order of its own, so that none always runs behind the same neighbour. If the slowest would take
    too long, there are fewer rounds for all, but at least `LEAST_ROUNDS`.
    """
    once = {name: _warm_call(task) for name, task in tasks.items()}
    calls = {name: max(1, round(seconds / found)) for name, found in once.items()}
    slowest = max((calls[name] * once[name] for name in tasks), default=seconds)
    rounds = min(rounds, max(LEAST_ROUNDS, round(_LIMIT / slowest)))
    found: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(rounds):
        random.Random(number).shuffle(names)
        for name in names:
            begin = time.perf_counter()
            for _ in range(calls[name]):
                tasks[name]()
            found[name].append((time.perf_counter() - begin) / calls[name])
    return {name: summary(values) for name, values in found.items()}


def summary(values: list[float]) -> Time:
    """The median and the quartiles of the rounds."""
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Time(median(values), low, high, len(values))


def _warm_call(task: Callable[[], object]) -> float:
    """The seconds of a call. One or two before it make what only the first call makes."""
    for _ in range(3):
        begin = time.perf_counter()
        task()
        taken = time.perf_counter() - begin
        if taken > _LONG:
            break
    return max(taken, 1e-6)
