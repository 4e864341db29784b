"""What a table is made of: text, which a template only lays out; and a table's columns from the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from flowbench.metrics import METRICS, Family, of_family
from flowbench.report.frame import Cell
from flowbench.report.judgement.certification import Verdicts
from flowbench.report.judgement.comparisons import ranking_metric
from flowbench.report.judgement.estimates import Estimates
from flowbench.report.judgement.verdict import Verdict, verdict
from flowbench.report.views import numbers
from flowbench.report.views.text import meanings, say


@dataclass(frozen=True)
class Scope:
    """The cells that a part of the page is about, with all that is known of them.

    Attributes:
        cells: in the order of the suite.
        whole: the frame of all cells of the suite.
        estimates, verdicts: of all cells of the suite.
    """

    cells: list[Cell]
    whole: pd.DataFrame
    estimates: Estimates
    verdicts: Mapping[str, Verdicts]

    def only(self, condition: Callable[[Cell], bool]) -> Scope:
        """The cells for which a condition holds."""
        return replace(self, cells=[cell for cell in self.cells if condition(cell)])

    def having(self, metric: str) -> Scope:
        """The cells that have a metric."""
        return self.only(lambda cell: self.has(cell, metric))

    def has(self, cell: Cell, metric: str) -> bool:
        """Whether a seed of a cell that finished has a metric."""
        return self.estimates.get(cell.key, metric) is not None

    def measured(self, metric: str) -> bool:
        """Whether any cell has a metric."""
        return any(self.has(cell, metric) for cell in self.cells)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows of the cells."""
        return self.whole[self.whole["cell"].isin([cell.key for cell in self.cells])]

    @cached_property
    def verdict(self) -> Verdict:
        """Which of the cells is best; they must be on one data set."""
        return self.verdict_by(ranking_metric(self.frame))

    def verdict_by(self, metric: str) -> Verdict:
        """The same by one metric."""
        return verdict(self.frame, self.cells, metric, self.verdicts)

    @property
    def single(self) -> bool:
        """Whether each cell has one seed."""
        return all(len(cell.seeds) == 1 for cell in self.cells)

    @property
    def several_budgets(self) -> bool:
        """Whether some flows had other budgets than others."""
        return len({cell.budget for cell in self.cells if not cell.baseline}) > 1

    def labels(self, keys: Sequence[str]) -> list[str]:
        """What the rows of cells are called."""
        names = {cell.key: cell.label for cell in self.cells}
        return [names[key] for key in keys]

    def value(self, cell: Cell, metric: str) -> float | None:
        """A metric of a cell as one number."""
        return self.estimates.value(cell.key, metric)

    def first(self, metric: str) -> float | None:
        """A metric that is the same for all cells that have it."""
        return next((value for cell in self.cells if (value := self.value(cell, metric)) is not None), None)

    def written(self, cell: Cell, metric: str) -> str:
        """A metric of a cell as the catalogue has it written."""
        return numbers.written(self.estimates.get(cell.key, metric), METRICS[metric].form, count=not self.single)

    def note(self, cell: Cell) -> str:
        """What a reader must know of a cell before comparing it."""
        return say(
            "note",
            baseline=cell.baseline,
            diverged=len(cell.diverged),
            failed=len(cell.failed),
            seeds=len(cell.seeds),
            in_part=bool(cell.not_measured),
            failures=self.verdicts[cell.key].failed,
        )


@dataclass(frozen=True)
class Value:
    """One entry: its text, and ``best`` or ``tie`` where it leads its column, or ``fail``."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """The entries below a head; ``about`` says what they are."""

    head: str
    values: list[Value]
    about: str = ""


@dataclass(frozen=True)
class Row:
    """A flow's entries; ``note`` says what is out of the ordinary, and a reference row is set apart.

    ``cell`` is the key of the cell that the entries are of: their row leads to where they come from.
    """

    name: str
    values: list[Value]
    note: str = ""
    reference: bool = False
    cell: str = ""


@dataclass
class Table:
    """Rows under a caption; ``first`` heads their names, and a table of ``words`` is set from the left.

    ``titles`` say what columns hold, by their heads. Rows of an ``origin`` are what those of other tables lead to.
    """

    caption: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    first: str = ""
    words: bool = False
    titles: dict[str, str] = field(default_factory=dict)
    origin: bool = False


def of_cells(caption: str, scope: Scope, columns: Sequence[Column], *, with_data: bool = False) -> Table:
    """One row per cell, named by its flow, or by its data as well."""
    titles = {column.head: column.about for column in columns if column.about}
    table = Table(caption, [column.head for column in columns], first="cell" if with_data else "flow", titles=titles)
    for i, cell in enumerate(scope.cells):
        name = f"{cell.data} · {cell.label}" if with_data else cell.label
        table.rows.append(Row(name, [column.values[i] for column in columns], scope.note(cell), cell=cell.key))
    return table


def of_words(caption: str, first: str, columns: list[str], rows: Sequence[tuple[str, ...]]) -> Table:
    """Rows of plain text, each led by its name."""
    return Table(caption, columns, [Row(name, [Value(text) for text in texts]) for name, *texts in rows], first, True)


def texts(scope: Scope, head: str, text: Callable[[Cell], str]) -> Column:
    """A column of what ``text`` says of each cell."""
    return Column(head, [Value(text(cell)) for cell in scope.cells], meanings().get(head, ""))


def of_metric(scope: Scope, metric: str, head: str = "") -> Column:
    """A column as the catalogue has it; in one of means, the leaders are marked where one way is better."""
    of = METRICS[metric]
    entries = [scope.written(cell, metric) for cell in scope.cells]
    marked: Sequence[str] = [""] * len(entries)
    if of.form == "interval" and of.better:
        found = scope.verdict_by(metric)
        leading = found.leading if found.chip in ("clear", "tied") else []
        mark = "best" if found.chip == "clear" else "tie"
        marked = [mark if cell.key in leading else "" for cell in scope.cells]
    if metric == "bits_per_dim" and scope.single:
        entries = [_with_standard_error(scope, cell) for cell in scope.cells]
    values = [Value(text, mark) for text, mark in zip(entries, marked, strict=True)]
    return Column(head or of.head, values, meanings()[head] if head else of.about)


def _with_standard_error(scope: Scope, cell: Cell) -> str:
    """Of one seed what is known of the uncertainty is the noise of the test split."""
    bits = scope.estimates.get(cell.key, "bits_per_dim")
    error = scope.value(cell, "bits_per_dim_standard_error")
    if bits and error is not None:
        bits = replace(bits, low=bits.value - error, high=bits.value + error)
    return numbers.spread(bits, count=False)


def of_families(scope: Scope, *families: Family) -> list[Column]:
    """A column for each metric of some families that has a head and that any cell has."""
    found = [name for name, metric in of_family(*families).items() if metric.head and scope.measured(name)]
    return [of_metric(scope, name) for name in found]


def verdict_column(scope: Scope, which: str) -> Column:
    """``passes`` or ``fails``."""
    words = [getattr(scope.verdicts[cell.key], which) for cell in scope.cells]
    return Column("verdict", [Value(word, "fail" if word == "fails" else "") for word in words], meanings()["verdict"])


def by_fact(cells: Iterable[Cell], fact: Callable[..., Any]) -> dict[Any, list[str]]:
    """The labels of the cells that share a fact, in the order of the cells."""
    found: dict[Any, list[str]] = {}
    for cell in cells:
        found.setdefault(fact(cell), []).append(cell.label)
    return found
