"""Mean ranks of flows over data sets, with ties as the verdicts have them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from flowbench.report.judgement.simultaneous import LEVEL
from flowbench.report.judgement.verdict import Verdict


@dataclass(frozen=True)
class Ranking:
    """Ranks of what was measured on several data sets (Demšar 2006, section 3.2).

    Attributes:
        ranks: (data sets × labels); 1 is best, and equals share the mean of their ranks. The best label comes first.
        critical_difference: between two mean ranks that the Nemenyi test tells apart at the 5 % level.
    """

    ranks: pd.DataFrame
    critical_difference: float

    @property
    def means(self) -> dict[str, float]:
        """The mean rank of each label over the data sets."""
        return self.ranks.mean().to_dict()

    @property
    def conclusive(self) -> bool:
        """Whether there are enough data sets to tell the first from the last if they always were."""
        return self.critical_difference < len(self.ranks.columns) - 1

    @property
    def apart(self) -> bool:
        """Whether any two labels are told apart."""
        means = self.means.values()
        return self.conclusive and max(means) - min(means) >= self.critical_difference


def flow_ranking(frame: pd.DataFrame, verdicts: Mapping[str, Verdict]) -> Ranking | None:
    """The flows that stand on several data sets and can be best there; ``None`` if there are not two of them.

    The best flow of a data set and those that are tied with it share a rank. The others are ranked by their means.
    """
    labels = frame.drop_duplicates("cell").set_index("cell")
    flows = {
        data: {
            labels.at[cell, "label"]: 0.0 if cell in of.leading else gap.value
            for cell, gap in of.gaps.items()
            if cell not in of.excluded and labels.at[cell, "kind"] != "baseline"
        }
        for data, of in verdicts.items()
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
    return Ranking(ranks[order], critical_difference(len(full.columns), len(full)))


def critical_difference(names: int, data_sets: int) -> float:
    """Of mean ranks: q √(k (k + 1) / 6N) for k names on N data sets (Nemenyi 1963; Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - LEVEL, names, math.inf)) / math.sqrt(2)
    return q * math.sqrt(names * (names + 1) / (6 * data_sets))
