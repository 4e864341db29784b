"""What seeds and data sets allow to say: paired differences, and average ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy.special import stdtr, stdtrit

from flowbench.report.numbers import Estimate, estimate

# Of a difference, and of the Nemenyi test.
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A mean difference paired by seed, and how surprising it would be if there were none.

    Attributes:
        estimate: with Student's 95 % interval; ``None`` where no seed is in both.
        p: of the two-sided paired t test, after Holm's correction for all pairs; ``None`` of one seed.
    """

    estimate: Estimate | None
    p: float | None

    @property
    def significant(self) -> bool:
        """Whether it is told from none at the 5 % level."""
        return self.p is not None and self.p < LEVEL


def paired(
    scores: Sequence[Mapping[int, float]], leader: int, beside: Callable[[int, int], float] = lambda i, j: 0.0
) -> list[Difference]:
    """Each of ``scores``, which are {seed: value}, less that at ``leader``, which is left out of the result.

    The p-values are corrected for the differences of all pairs: which one leads is not known beforehand, and the lowest
    of many that are equal looks better than it is by having been chosen.

    Args:
        beside: the standard error that the difference of two of them has beside what the seeds show. It widens the
            interval, whose degrees of freedom stay those of the seeds, which are the fewest that they can be.
    """

    def difference(i: int, j: int) -> Estimate | None:
        return _widened(_difference(scores[i], scores[j]), beside(i, j))

    pairs = list(combinations(range(len(scores)), 2))
    values = holm([_p_value(difference(i, j)) for i, j in pairs])
    p = dict(zip(map(frozenset, pairs), values, strict=True))
    others = [i for i in range(len(scores)) if i != leader]
    return [Difference(difference(i, leader), p[frozenset((i, leader))]) for i in others]


def _difference(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Estimate | None:
    """Of the seeds that are in both and finite."""
    both = [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    finite = [difference for difference in both if math.isfinite(difference)]
    return estimate(finite) if finite else None


def _widened(e: Estimate | None, error: float) -> Estimate | None:
    """With a standard error in the interval that is independent of what is in it already."""
    if e is None or e.half is None or error == 0:
        return e
    return Estimate(e.mean, math.hypot(e.half, error * float(stdtrit(e.n - 1, 1 - LEVEL / 2))), e.n)


def _p_value(e: Estimate | None) -> float | None:
    """Of the two-sided t test that the mean is zero, from the half width of the interval."""
    if e is None or e.half is None:
        return None
    if e.half == 0:
        return 1.0 if e.mean == 0 else 0.0
    t = e.mean / e.half * float(stdtrit(e.n - 1, 1 - LEVEL / 2))
    return 2 * float(stdtr(e.n - 1, -abs(t)))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values so raised that among all of them one below 5 % comes by chance in 5 % of cases (Holm 1979)."""
    order = sorted((p, i) for i, p in enumerate(values) if p is not None)
    result: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        result[i] = highest
    return result


@dataclass(frozen=True)
class Ranking:
    """Ranks of what was measured on several data sets (Demšar 2006, section 3.2).

    Attributes:
        ranks: by data set, of each name; 1 is best, and equals share the mean of their ranks.
        means: of each name over the data sets, the best first.
        critical_difference: between two mean ranks that the Nemenyi test tells apart at the 5 % level.
    """

    ranks: dict[str, dict[str, float]]
    means: dict[str, float]
    critical_difference: float

    @property
    def conclusive(self) -> bool:
        """Whether there are enough data sets to tell the first from the last if they always were."""
        return self.critical_difference < len(self.means) - 1

    @property
    def apart(self) -> bool:
        """Whether any two are told apart; the first and the last are farthest from each other."""
        return self.conclusive and max(self.means.values()) - min(self.means.values()) >= self.critical_difference


def ranking(scores: Mapping[str, Mapping[str, float]]) -> Ranking | None:
    """Of the names and data sets that make the largest full table; lower scores are better.

    Args:
        scores: by data set, of each name.

    Returns:
        ``None`` where no two names stand on the same two data sets.
    """
    from scipy.stats import rankdata

    names: list[str] = []
    shared: tuple[str, ...] = ()
    for size in range(2, len(scores) + 1):
        for data in combinations(scores, size):
            common = [name for name in scores[data[0]] if all(name in scores[one] for one in data)]
            if len(common) > 1 and len(common) * size > len(names) * len(shared):
                names, shared = common, data
    if not names:
        return None
    ranks = {
        one: dict(zip(names, map(float, rankdata([scores[one][name] for name in names])), strict=True))
        for one in shared
    }
    means = {name: sum(of_data[name] for of_data in ranks.values()) / len(shared) for name in names}
    means = dict(sorted(means.items(), key=lambda pair: pair[1]))
    return Ranking(ranks, means, critical_difference(len(names), len(shared)))


def critical_difference(names: int, data_sets: int) -> float:
    """Of mean ranks: q √(k (k + 1) / 6N) for k names on N data sets (Nemenyi 1963; Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - LEVEL, names, math.inf)) / math.sqrt(2)
    return q * math.sqrt(names * (names + 1) / (6 * data_sets))
