"""Which flow leads on one data set, and where the best baseline stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from flowbench.report.judgement.comparisons import comparable, differences, finite, mean_scores, ranking_metric
from flowbench.report.judgement.estimates import Estimate, marks

FlowStanding = Literal["alone", "best", "significant", "near", "equal", "lowest"]
BaselineStanding = Literal["alone", "nearest", "lowest", "beats", "near"]


@dataclass(frozen=True)
class Flow:
    """The flow of the lowest mean.

    Attributes:
        cell: its key.
        standing: ``alone``: there is no other. ``best``: its interval overlaps no other, and every difference is
            significant. ``significant``: only the latter. ``near``: some flows cannot be told from it. ``equal``: of
            one seed each, some have the same value. ``lowest``: of one seed each, none has.
        near: the flows that cannot be told from it, or have the same value.
        others: how many other flows it is compared with.
    """

    cell: str
    standing: FlowStanding
    near: list[str]
    others: int


@dataclass(frozen=True)
class Baseline:
    """The baseline of the lowest mean.

    Attributes:
        cell: its key.
        standing: ``alone``: no flow is compared. ``nearest``: a flow is at least as good. ``lowest``: of one seed, it
            is lower than all flows. ``beats``: it is, and significantly. ``near``: some flows cannot be told from it.
        near: those flows.
        others: how many flows it is compared with.
    """

    cell: str
    standing: BaselineStanding
    near: list[str]
    others: int


@dataclass(frozen=True)
class Leaders:
    """What the numbers of one data set say.

    Attributes:
        metric: what the cells are ranked by.
        flow, baseline: the best of each; ``None`` where none has a finite value.
        not_compared: cells with finite values over fewer examples.
    """

    metric: str
    flow: Flow | None
    baseline: Baseline | None
    not_compared: list[str]


def leaders(frame: pd.DataFrame) -> Leaders:
    """Who leads among the cells of one data set, by the test of `comparisons.differences` and its correction."""
    metric = ranking_metric(frame)
    shown = comparable(frame, metric)
    means = mean_scores(frame, metric)
    ranked = dict(sorted(means.items(), key=lambda pair: pair[1].value))
    baseline = set(frame.loc[frame["kind"] == "baseline", "cell"])
    flows = {cell: e for cell, e in ranked.items() if cell not in baseline}
    baselines = [cell for cell in ranked if cell in baseline]
    left = [cell for cell in finite(frame, metric) if cell not in shown]

    def near(cell: str) -> list[str]:
        told = differences(frame, cell, metric)
        return [other for other in flows if other != cell and not told[other].significant]

    flow = _flow(flows, near(next(iter(flows)))) if flows else None
    best = _baseline(baselines[0], ranked[baselines[0]], flows, near(baselines[0])) if baselines else None
    return Leaders(metric, flow, best, left)


def _flow(flows: Mapping[str, Estimate], near: list[str]) -> Flow:
    (cell, e), *others = flows.items()
    mark = marks(list(flows.values()), "lower")[0]
    if not others:
        return Flow(cell, "alone", [], 0)
    if mark:
        standing: FlowStanding = "near" if near else "best" if mark == "best" else "significant"
        return Flow(cell, standing, near, len(others))
    equal = [other for other, theirs in others if theirs.value == e.value]
    return Flow(cell, "equal" if equal else "lowest", equal, len(others))


def _baseline(cell: str, e: Estimate, flows: Mapping[str, Estimate], near: list[str]) -> Baseline:
    if not flows:
        return Baseline(cell, "alone", [], 0)
    if e.value >= min(theirs.value for theirs in flows.values()):
        return Baseline(cell, "nearest", [], len(flows))
    if e.half is None or any(theirs.half is None for theirs in flows.values()):
        return Baseline(cell, "lowest", [], len(flows))
    return Baseline(cell, "near" if near else "beats", near, len(flows))
