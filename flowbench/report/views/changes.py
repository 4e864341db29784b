"""What became of the numbers of the report before, by the rule that compares flows."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import pandas as pd

from flowbench.metrics import METRICS, of_family
from flowbench.report.frame import CSV_COLUMNS
from flowbench.report.judgement.verdict import verdict
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Table, of_words

BEFORE, NOW = "before", "now"


@dataclass(frozen=True)
class Changes:
    """The cells of two reports beside each other.

    Attributes:
        same: how many means of a cell by a metric of quality are equal.
        near: how many others are not told apart from what they were.
        table: of those that are told apart.
        new, gone: cells of one report alone.
    """

    same: int
    near: int
    table: Table
    new: list[str]
    gone: list[str]


def changes(scope: Scope, earlier: str) -> Changes | None:
    """The changes since a report whose ``results.csv`` is given as text; ``None`` without one that can be read."""
    try:
        old = pd.read_csv(io.StringIO(earlier), usecols=CSV_COLUMNS).rename(
            columns={"dataset": "data", "flow": "label"}
        )
    except ValueError:  # an empty text, or columns of another time
        return None
    old = old.assign(kind="flow", lost=False)
    before, rows, same, near = set(old["cell"]), [], 0, 0
    for key in (key for key in scope.by_key if key in before):
        now = scope.frame[scope.frame["cell"] == key].assign(cell=NOW, kind="flow")
        pair = pd.concat([old[old["cell"] == key].assign(cell=BEFORE), now], ignore_index=True)
        for metric in of_family("quality"):
            means = pair[(pair["metric"] == metric) & ~pair["lost"]].groupby("cell")["value"].mean()
            if set(means.index) != {BEFORE, NOW}:
                continue
            if math.isclose(means[BEFORE], means[NOW], rel_tol=1e-9) or means.isna().all():
                same += 1
            elif not any(gap.told_apart for gap in verdict(pair, [], metric, {}).gaps.values()):
                near += 1
            else:
                better = (means[NOW] < means[BEFORE]) == (METRICS[metric].better == "lower")
                written = [numbers.significant(means[when], 4) for when in (BEFORE, NOW)]
                rows.append((key, METRICS[metric].head, *written, "better" if better else "worse"))
    caption = "Means that are told apart from those of the last report."
    table = of_words(caption, "cell", ["metric", BEFORE, NOW, "change"], rows, with_data=True)
    new = [key for key in scope.by_key if key not in before]
    return Changes(same, near, table, new, sorted(before - scope.by_key.keys()))
