"""What became of the cells of one report in another, by the rule that compares flows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from flowbench.metrics import METRICS, of_family
from flowbench.report.judgement.verdict import verdict

Kind = Literal["same", "not told apart", "better", "worse"]
_BEFORE, _NOW = "before", "now"


@dataclass(frozen=True)
class Change:
    """A metric of a cell in two reports.

    Attributes:
        before, now: the means of the seeds.
        kind: ``same`` to nine digits; ``better`` or ``worse`` if the two are told apart by the rule that compares
            flows; else ``not told apart``, for which too few seeds are a reason, too.
    """

    cell: str
    metric: str
    before: float
    now: float
    kind: Kind


def changes(before: pd.DataFrame, now: pd.DataFrame, metrics: Iterable[str] | None = None) -> list[Change]:
    """The changes of all cells that are in both frames, as `frame.tidy` makes them.

    Args:
        metrics: which; those of quality if left out.
    """
    wanted, found = list(metrics if metrics is not None else of_family("quality")), []
    shared = [key for key in now["cell"].unique() if key in set(before["cell"])]
    for key in shared:
        parts = [part[part["cell"] == key].assign(cell=name) for part, name in ((before, _BEFORE), (now, _NOW))]
        pair = pd.concat(parts, ignore_index=True).assign(kind="flow")
        for metric in wanted:
            means = pair[(pair["metric"] == metric) & ~pair["lost"]].groupby("cell")["value"].mean()
            if set(means.index) != {_BEFORE, _NOW}:
                continue
            old, new = float(means[_BEFORE]), float(means[_NOW])
            if math.isclose(old, new, rel_tol=1e-9) or (math.isnan(old) and math.isnan(new)):
                kind: Kind = "same"
            elif not any(gap.told_apart for gap in verdict(pair, [], metric, {}).gaps.values()):
                kind = "not told apart"
            else:
                kind = "better" if (new < old) == (METRICS[metric].better != "higher") else "worse"
            found.append(Change(key, metric, old, new, kind))
    return found
