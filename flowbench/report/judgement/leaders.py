"""Which flow leads on one data set, and where the best baseline stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from flowbench.report.judgement.comparisons import Differences, differences, finite, mean_scores, ranking_metric
from flowbench.report.judgement.estimates import Estimate, marks

Standing = Literal["alone", "best", "significant", "near", "equal", "lowest", "beaten"]


@dataclass(frozen=True)
class Leader:
    """The flow, or the baseline, of the lowest mean.

    Attributes:
        cell: its key.
        standing: ``alone``: there is no other flow. ``best``: it has the lowest mean, every difference from the other
            flows is significant, and the interval of a flow overlaps no other flow's. ``significant``: as ``best``, but
            intervals overlap. ``near``: it has the lowest mean, but some flows cannot be told from it. ``equal``: there
            are no intervals, and some flows have the same value. ``lowest``: there are no intervals, and no other flow
            has the same value. ``beaten``: of a baseline, that a flow is at least as good.
        near: the flows that cannot be told from it, or have the same value.
        others: how many flows it is compared with.
    """

    cell: str
    standing: Standing
    near: list[str] = field(default_factory=list)
    others: int = 0


@dataclass(frozen=True)
class Leaders:
    """What the numbers of one data set say.

    Attributes:
        metric: what the cells are ranked by.
        flow, baseline: the best of each; ``None`` where none has a finite value.
        not_compared: cells with finite values over fewer examples.
        differences: of the cells that are compared.
    """

    metric: str
    flow: Leader | None
    baseline: Leader | None
    not_compared: list[str]
    differences: Differences


def leaders(frame: pd.DataFrame) -> Leaders:
    """Who leads among the cells of one data set, by the test of `comparisons.differences` and its correction."""
    metric = ranking_metric(frame)
    means, told = mean_scores(frame, metric), differences(frame, metric)
    of_baselines = set(frame.loc[frame["kind"] == "baseline", "cell"])
    ranked = sorted(means.items(), key=lambda pair: pair[1].value)
    flows = {cell: e for cell, e in ranked if cell not in of_baselines}
    baselines = {cell: e for cell, e in ranked if cell in of_baselines}

    def near(cell: str) -> list[str]:
        apart = told.against(cell)
        return [other for other in flows if other != cell and not apart[other].significant]

    flow = _flow(flows, near(next(iter(flows)))) if flows else None
    baseline = _baseline(baselines, flows, near(next(iter(baselines)))) if baselines else None
    return Leaders(metric, flow, baseline, [cell for cell in finite(frame, metric) if cell not in means], told)


def _flow(flows: dict[str, Estimate], near: list[str]) -> Leader:
    (cell, e), *others = flows.items()
    if not others:
        return Leader(cell, "alone")
    if mark := marks(list(flows.values()), "lower")[0]:
        standing: Standing = "near" if near else "best" if mark == "best" else "significant"
        return Leader(cell, standing, near, len(others))
    equal = [other for other, theirs in others if theirs.value == e.value]
    return Leader(cell, "equal" if equal else "lowest", equal, len(others))


def _baseline(baselines: dict[str, Estimate], flows: dict[str, Estimate], near: list[str]) -> Leader:
    cell, e = next(iter(baselines.items()))
    if not flows:
        return Leader(cell, "alone")
    if e.value >= min(theirs.value for theirs in flows.values()):
        return Leader(cell, "beaten")
    if any(one.half is None for one in (e, *flows.values())):
        return Leader(cell, "lowest", [], len(flows))
    return Leader(cell, "near" if near else "best", near, len(flows))
