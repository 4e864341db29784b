"""The one rule that says which flow is best on a data set, which are tied with it, and how far behind others are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.metrics.catalogue import LOST_AT
from flowbench.report.frame import CellResult, load, tidy
from flowbench.report.judgement import certification
from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.comparisons import Scale, Scores, ranking_metric, scores
from flowbench.report.judgement.estimates import FEWEST_SEEDS
from flowbench.report.judgement.simultaneous import compare

Chip = Literal["clear", "tied", "too few seeds", "alone", "none"]


@dataclass(frozen=True)
class Gap:
    """How far a cell is behind the best certified flow of its data set, on the same examples.

    Attributes:
        value: the difference of the means in the metric's unit; positive is worse, whichever way is better.
        low, high: the simultaneous interval of the distance from the flow that is best in truth, whichever it is; nan
            where there are too few seeds.
        p: adjusted for all comparisons; ``None`` where there are too few seeds.
        told_apart: whether it is worse than a certified flow beyond chance; then ``low`` is not below 0. Or whether it
            is better than all of them, which only a cell can be that cannot be best; then ``high`` is not above 0.
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
            ``not finite`` or ``other examples``. What has no values to compare has no gap.
        scale: what differences were judged on: the logarithm, where all values are positive.
    """

    metric: str
    best: str | None = None
    chip: Chip = "none"
    tied: list[str] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    scale: Scale = "linear"

    @property
    def leading(self) -> list[str]:
        """The best, then those that are tied with it."""
        return [self.best, *self.tied] if self.best else []

    @property
    def marks(self) -> dict[str, str]:
        """How cells are set: ``best`` is told apart from all others, and each ``tie`` from all but the others."""
        mark = {"clear": "best", "tied": "tie"}.get(self.chip)
        return dict.fromkeys(self.leading, mark) if mark else {}


def verdict(
    frame: pd.DataFrame, cells: Sequence[CellResult], metric: str, certificates: Mapping[str, Certificate]
) -> Verdict:
    """The verdict by one metric on the cells of one data set.

    Args:
        frame: the rows of the cells of one data set.
        cells: their records, which hold the log-likelihood of each test example; cells on other data are not looked at.
        metric: one that is judged. Of all these the catalogue combines the seeds by their mean, as is done here.
        certificates: of the cells; one that has none counts as certified.
    """
    found = scores(frame, cells, metric)
    flows = set(frame.loc[((frame["metric"] == metric) | frame["lost"]) & (frame["kind"] != "baseline"), "cell"])
    excluded = found.left_out | _excluded(frame[frame["cell"].isin(flows)], certificates)
    keys = [str(key) for key in found.table.columns]
    candidates = np.array([key in flows and key not in excluded for key in keys], dtype=bool)
    sign = -1.0 if METRICS[metric].better == "higher" else 1.0
    means = found.table.mean()
    if not candidates.any():
        return Verdict(metric, excluded=excluded, scale=found.scale)
    best = str((sign * means[candidates]).idxmin())
    gaps = _gaps(found, candidates, sign, best)
    rivals = [key for key, can in zip(keys, candidates, strict=True) if can and key != best]
    tied = sorted((key for key in rivals if not gaps[key].told_apart), key=lambda key: sign * means[key])
    return Verdict(metric, best, _chip(gaps, rivals, tied), tied, gaps, excluded, found.scale)


def _chip(gaps: Mapping[str, Gap], rivals: Sequence[str], tied: Sequence[str]) -> Chip:
    if not rivals:
        return "alone"
    if not tied:
        return "clear"
    return "tied" if any(gaps[key].p is not None for key in tied) else "too few seeds"


def _excluded(frame: pd.DataFrame, certificates: Mapping[str, Certificate]) -> dict[str, str]:
    """Why cells cannot be best, whatever their values are."""
    reasons = {}
    for cell in frame["cell"].unique():
        lost = set(frame.loc[(frame["cell"] == cell) & frame["lost"], "metric"])
        failed = certificates[cell].failed if cell in certificates else []
        if failed:
            reasons[cell] = f"fails certification: {', '.join(failed)}"
        elif lost:
            reasons[cell] = "a seed failed" if LOST_AT["failed"] in lost else "a seed diverged"
    return reasons


def _gaps(found: Scores, candidates: NDArray[np.bool_], sign: float, best: str) -> dict[str, Gap]:
    """How far each cell is behind the best; with intervals for those of enough seeds."""
    means, counts = found.table.mean(), found.table.count()
    gaps = {str(key): Gap(float(sign * (mean - means[best]))) for key, mean in means.items()}
    judged = (counts >= FEWEST_SEEDS).to_numpy()
    if counts[best] < FEWEST_SEEDS:
        return gaps
    of = compare(
        found.table.loc[:, judged].to_numpy(),
        ratios=found.scale == "log",
        lower=sign > 0,
        shared=found.shared[np.ix_(judged, judged)],
        candidates=candidates[judged],
    )
    for i, key in enumerate(map(str, found.table.columns[judged])):
        if key != best:
            gaps[key] = Gap(gaps[key].value, float(of.low[i]), float(of.high[i]), float(of.p[i]), bool(of.apart[i]))
    return gaps


def verdicts(
    frame: pd.DataFrame, cells: Sequence[CellResult], certificates: Mapping[str, Certificate]
) -> dict[str, Verdict]:
    """By data set the verdict by the metric that its flows are ranked by."""
    return {
        str(data): verdict(of_data, cells, ranking_metric(of_data), certificates)
        for data, of_data in frame.groupby("data", sort=False)
    }


def best_cells(results: Path, suite: Suite) -> set[str]:
    """The best certified flow on each data set of a suite whose cells are in ``results``."""
    cells = load(results, suite, {})
    frame = tidy(suite.name, cells)
    found = verdicts(frame, cells, certification.certificates(frame))
    return {of_data.best for of_data in found.values() if of_data.best}
