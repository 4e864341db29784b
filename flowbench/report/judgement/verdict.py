"""The one rule that says which flow is best on a data set, which are tied with it, and how far the others are behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from flowbench.report.frame import Cell
from flowbench.report.judgement.certification import Verdicts
from flowbench.report.judgement.comparisons import ranking_metric

Chip = Literal["clear", "tied", "too few seeds", "alone", "none"]
# For an interval, and for a test.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Gap:
    """How far a cell is behind the best certified flow of its data set, on the same examples.

    Attributes:
        value: the difference of the means in the metric's unit; positive is worse, whichever way is better.
        low, high: the simultaneous interval of the distance from the flow that is best in truth, whichever it is; nan
            where there are too few seeds.
        p: adjusted for all comparisons; ``None`` where there are too few seeds.
        told_apart: whether it is worse than a certified flow beyond chance: ``low`` is above 0.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    p: float | None = None
    told_apart: bool = False


@dataclass(frozen=True)
class Verdict:
    """What the values of one metric say on one data set.

    Attributes:
        metric: what it is about.
        best: key of the certified flow with the best mean; ``None`` where none qualifies.
        chip: ``clear``: every other certified flow is told apart from the best. ``tied``: some are not. ``too few
            seeds``: some are not, for want of seeds. ``alone``: there is one. ``none``: there is none.
        tied: the certified flows that cannot be told from the best, by their means; without the best.
        gaps: of every cell that is compared, baselines and those that cannot be best included.
        excluded: why a flow cannot be best: ``fails certification: float32``, ``a seed diverged``, ``a seed failed``,
            ``not finite`` or ``other examples``. The last two have no gap.
        scale: what differences were judged on: the logarithm, where all values are positive.
    """

    metric: str
    best: str | None = None
    chip: Chip = "none"
    tied: list[str] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    scale: Literal["log", "linear"] = "linear"

    @property
    def leading(self) -> list[str]:
        """The cells to set in bold: the best, then those that are tied with it."""
        return [self.best, *self.tied] if self.best else []


def verdict(frame: pd.DataFrame, cells: Sequence[Cell], metric: str, certificates: Mapping[str, Verdicts]) -> Verdict:
    """The verdict by one metric on the cells of one data set.

    Args:
        frame: the rows of the cells of one data set.
        cells: their records, which hold the log-likelihood of each test example; others are not looked at.
        metric: one that has a better direction.
        certificates: of the cells; one that has none counts as certified.
    """
    return Verdict(metric)


def verdicts(frame: pd.DataFrame, cells: Sequence[Cell], certificates: Mapping[str, Verdicts]) -> dict[str, Verdict]:
    """By data set the verdict by the metric that its flows are ranked by."""
    return {
        str(data): verdict(of_data, cells, ranking_metric(of_data), certificates)
        for data, of_data in frame.groupby("data", sort=False)
    }
