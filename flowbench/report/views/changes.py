"""What became of the numbers of the report before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from flowbench.metrics import METRICS
from flowbench.report import frame
from flowbench.report.judgement import changes as judged
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Table, of_words


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
    old = frame.read_csv(earlier)
    if old is None:
        return None
    found = judged.changes(old, scope.frame)
    counts = Counter(change.kind for change in found)
    rows = [
        (
            change.cell,
            METRICS[change.metric].head,
            *(numbers.significant(value, 4) for value in (change.before, change.now)),
            change.kind,
        )
        for change in found
        if change.kind in ("better", "worse")
    ]
    caption = "Means that are told apart from those of the last report."
    table = of_words(caption, "cell", ["metric", "before", "now", "change"], rows, with_data=True)
    before = set(old["cell"])
    new = [key for key in scope.by_key if key not in before]
    return Changes(counts["same"], counts["not told apart"], table, new, sorted(before - scope.by_key.keys()))
