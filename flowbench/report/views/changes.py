"""What became of the numbers of the report before, by the rule that compares flows."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field

import pandas as pd

from flowbench.metrics import METRICS, of_family
from flowbench.report.frame import CSV_COLUMNS
from flowbench.report.judgement.verdict import verdict
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Entry, Table

BEFORE, NOW = "before", "now"


@dataclass(frozen=True)
class Changes:
    """The cells of two reports beside each other.

    Attributes:
        same: how many means of a cell by a metric of quality are equal.
        near: how many others are not told apart from what they were.
        table: of those that are told apart; ``None`` if there are none.
        new, gone: cells of one report alone.
    """

    same: int = 0
    near: int = 0
    table: Table | None = None
    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def changes(scope: Scope, earlier: str) -> Changes | None:
    """The changes since a report whose ``results.csv`` is given as text; ``None`` without one that can be read."""
    try:
        old = pd.read_csv(io.StringIO(earlier), usecols=CSV_COLUMNS).rename(
            columns={"dataset": "data", "flow": "label"}
        )
    except ValueError:  # an empty text, or columns of another time
        return None
    old = old.assign(kind="flow", lost=False)
    cells = list(scope.by_key)
    found, same, near = [], 0, 0
    for key in (key for key in cells if key in set(old["cell"])):
        now = scope.frame[scope.frame["cell"] == key].assign(cell=NOW, kind="flow")
        pair = pd.concat([old[old["cell"] == key].assign(cell=BEFORE), now], ignore_index=True)
        for metric in of_family("quality"):
            means = pair[(pair["metric"] == metric) & ~pair["lost"]].groupby("cell")["value"].mean()
            if set(means.index) != {BEFORE, NOW}:
                continue
            if math.isclose(means[BEFORE], means[NOW], rel_tol=1e-9) or means.isna().all():
                same += 1
                continue
            gaps = verdict(pair, [], metric, {}).gaps
            if not any(gap.told_apart for gap in gaps.values()):
                near += 1
                continue
            better = (means[NOW] < means[BEFORE]) == (METRICS[metric].better == "lower")
            written = [numbers.significant(means[when], 4) for when in (BEFORE, NOW)]
            found.append((key, METRICS[metric].head, *written, "better" if better else "worse"))
    heads = ["metric", BEFORE, NOW, "change"]
    entries = [[Entry(text) for text in row[1:]] for row in found]
    frame = pd.DataFrame(entries, columns=heads, index=[row[0] for row in found], dtype=object)
    table = Table("Means that are told apart from those of the last report.", frame, "cell", with_data=True)
    gone = sorted(set(old["cell"]) - set(cells))
    return Changes(same, near, table if found else None, [key for key in cells if key not in set(old["cell"])], gone)
