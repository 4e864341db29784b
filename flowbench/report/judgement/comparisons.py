"""What is compared, and what sets cells apart: paired differences with Holm's correction, and mean ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
import pandas as pd

from flowbench.report.judgement.estimates import LEVEL, Estimate, estimate, quantile

# What flows are ranked by: the first of these that a data set has.
RANKED_BY = ("kl_to_target", "bits_per_dim")


def ranking_metric(frame: pd.DataFrame) -> str:
    """What the flows on one data set are ranked by; lower is better."""
    measured = set(frame["metric"])
    return next((metric for metric in RANKED_BY if metric in measured), RANKED_BY[-1])


def comparable(frame: pd.DataFrame, metric: str) -> list[str]:
    """The cells on one data set whose values of a metric are finite, and over the same number of examples.

    That number is the largest that any cell was measured on. Bits per dim above the truth may be over others.
    Distances may not: few samples bias them upwards, whatever is known of the truth.
    """
    measured = finite(frame, metric)
    examples = _of(frame, metric).groupby("cell")["n"].min()[measured]
    if metric == "bits_per_dim" and set(measured) <= set(_of(frame, "true_bits_per_dim")["cell"]):
        return measured
    return [cell for cell in measured if examples[cell] == examples.max()]


def finite(frame: pd.DataFrame, metric: str) -> list[str]:
    """The cells that have a finite value of a metric for each of their seeds."""
    rows = _of(frame, metric)
    lost = set(rows.loc[~np.isfinite(rows["value"].astype(float)), "cell"])
    return [cell for cell in rows["cell"].unique() if cell not in lost]


def scores(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What comparisons go by, (seeds × cells): a metric; of bits per dim what is above the truth on the same examples.

    Where the truth is not on record they stay as they are. The difference of two cells is the same either way, unless
    they were measured on different examples.
    """
    table = _table(frame, metric)
    if metric == "bits_per_dim":
        true = _table(frame, "true_bits_per_dim")
        table = table - true.reindex(index=table.index, columns=table.columns).fillna(0.0)
    return table


def mean_scores(frame: pd.DataFrame, metric: str) -> dict[str, Estimate]:
    """The comparable cells with the mean of their scores, in the order of the frame."""
    table = scores(frame, metric)
    return {cell: estimate(table[cell].dropna()) for cell in comparable(frame, metric)}


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


@dataclass(frozen=True)
class Differences:
    """What sets apart each pair of several cells; of (a, b), how much higher b is than a."""

    pairs: dict[tuple[str, str], Difference]

    def against(self, leader: str) -> dict[str, Difference]:
        """The other cells, each with how much higher it is than one of them."""
        return {b: difference for (a, b), difference in self.pairs.items() if a == leader}


def differences(frame: pd.DataFrame, metric: str) -> Differences:
    """What sets the comparable cells apart, in the unit of a metric.

    Where two were measured on different test examples, the standard errors of both in bits per dim are added. They
    are known only for bits per dim themselves, which vary more from example to example than those above the truth do
    where a flow is near it.
    """
    examples = _of(frame, metric).groupby("cell")["n"].min()
    errors = _of(frame, "bits_per_dim_standard_error").groupby("cell")["value"].mean()

    def noise(a: str, b: str) -> float:
        return 0.0 if examples[a] == examples[b] else math.hypot(errors.get(a, 0.0), errors.get(b, 0.0))

    return paired(scores(frame, metric)[comparable(frame, metric)], noise)


def paired(table: pd.DataFrame, extra: Callable[[str, str], float] = lambda a, b: 0.0) -> Differences:
    """The differences of the columns of a table of scores (seeds × cells).

    The p-values are corrected for the differences of all pairs: which one leads is not known beforehand, and the lowest
    of many that are equal looks better than it is by having been chosen.

    Args:
        extra: the standard error that the difference of two cells has beside what the seeds show.
    """
    values = {cell: table[cell].to_numpy() for cell in table.columns}
    found = {}
    for a, b in permutations(values, 2):
        both = np.isfinite(values[a]) & np.isfinite(values[b])
        found[a, b] = estimate(values[b][both] - values[a][both], extra(a, b)) if both.any() else None
    pairs = list(combinations(values, 2))
    p = dict(zip(pairs, holm([_p_value(found[pair]) for pair in pairs]), strict=True))
    return Differences({(a, b): Difference(e, p[a, b] if (a, b) in p else p[b, a]) for (a, b), e in found.items()})


def _p_value(e: Estimate | None) -> float | None:
    """Of the two-sided t test that the mean is zero, from the half width of the interval."""
    from scipy.stats import t

    if e is None or e.half is None:
        return None
    if e.half == 0:
        return 1.0 if e.value == 0 else 0.0
    return 2 * float(t.sf(abs(e.value) / e.half * quantile(e.seeds - 1), e.seeds - 1))


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted so that the chance of any false positive among them is at most 5 % (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests

    known = [p for p in values if p is not None]
    raised = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if p is None else next(raised) for p in values]


@dataclass(frozen=True)
class Ranking:
    """Ranks of what was measured on several data sets (Demšar 2006, section 3.2).

    Attributes:
        ranks: (data sets × labels); 1 is best, and equals share the mean of their ranks. The best label comes first.
        critical_difference: between two mean ranks that the Nemenyi test tells apart at the 5 % level.
        apart: whether it tells any two apart.
    """

    ranks: pd.DataFrame
    critical_difference: float
    apart: bool

    @property
    def means(self) -> dict[str, float]:
        """The mean rank of each label over the data sets."""
        return self.ranks.mean().to_dict()

    @property
    def conclusive(self) -> bool:
        """Whether there are enough data sets to tell the first from the last if they always were."""
        return self.critical_difference < len(self.ranks.columns) - 1


def flow_ranking(frame: pd.DataFrame) -> Ranking | None:
    """The flows that stand on several data sets, without baselines; ``None`` if there are not two of them."""
    flows: dict[str, dict[str, float]] = {}
    labels = frame.drop_duplicates("cell").set_index("cell")
    for data, of_data in frame.groupby("data", sort=False):
        means = mean_scores(of_data, ranking_metric(of_data))
        flows[str(data)] = {
            labels.at[cell, "label"]: e.value for cell, e in means.items() if labels.at[cell, "kind"] != "baseline"
        }
    return ranking(flows)


def ranking(of_data: Mapping[str, Mapping[str, float]]) -> Ranking | None:
    """Of the labels and data sets that make the largest full table; lower scores are better.

    Returns:
        ``None`` where no two labels stand on the same two data sets.
    """
    table = pd.DataFrame.from_dict(of_data, orient="index", dtype=float)
    table = table.reindex(index=list(of_data))
    present = table.notna().to_numpy()
    rows: tuple[int, ...] = ()
    largest = 0
    for size in range(2, len(table) + 1):
        for chosen in combinations(range(len(table)), size):
            common = int(present[list(chosen)].all(axis=0).sum())
            if common > 1 and common * size > largest:
                rows, largest = chosen, common * size
    if not rows:
        return None
    full = table.iloc[list(rows)].dropna(axis="columns")
    ranks = full.rank(axis="columns")
    order = ranks.mean().sort_values(kind="stable").index
    found = Ranking(ranks[order], critical_difference(len(full.columns), len(full)), False)
    return Ranking(found.ranks, found.critical_difference, found.conclusive and _any_apart(full))


def _any_apart(full: pd.DataFrame) -> bool:
    from scikit_posthocs import posthoc_nemenyi_friedman

    return bool((posthoc_nemenyi_friedman(full.to_numpy()) < LEVEL).any(axis=None))


def critical_difference(names: int, data_sets: int) -> float:
    """Of mean ranks: q √(k (k + 1) / 6N) for k names on N data sets (Nemenyi 1963; Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - LEVEL, names, math.inf)) / math.sqrt(2)
    return q * math.sqrt(names * (names + 1) / (6 * data_sets))


def _of(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of a metric of the seeds that finished."""
    return frame[(frame["metric"] == metric) & ~frame["lost"]]


def _table(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A metric, (seeds × cells)."""
    return _of(frame, metric).pivot(index="seed", columns="cell", values="value")
