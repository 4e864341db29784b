"""What a table is made of: text, which a template only lays out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowbench.metrics import METRICS
from flowbench.report import numbers
from flowbench.report.cells import CellResult, comparable
from flowbench.report.numbers import Estimate
from flowbench.report.verdicts import note


@dataclass(frozen=True)
class Value:
    """One entry: its text, and ``best`` or ``tie`` where it leads its column, or ``fail``."""

    text: str
    mark: str = ""


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

    ``titles`` say what a column holds, where its head is a metric in short. Rows of an ``origin`` are what those of
    other tables lead to.
    """

    caption: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    first: str = ""
    words: bool = False
    titles: dict[str, str] = field(default_factory=dict)
    origin: bool = False


Column = tuple[str, list[Value]]


def of_cells(
    caption: str,
    cells: Sequence[CellResult],
    columns: Sequence[Column],
    about: Mapping[str, str],
    first: Literal["flow", "cell"] = "flow",
) -> Table:
    """One row per cell, named by its flow, or by its data as well; ``about`` says what columns hold, by their heads."""
    heads = [head for head, _ in columns]
    table = Table(caption, heads, first=first, titles={head: about[head] for head in heads if head in about})
    for i, cell in enumerate(cells):
        name = cell.label if first == "flow" else f"{cell.data} · {cell.label}"
        table.rows.append(Row(name, [values[i] for _, values in columns], note(cell), cell=cell.key))
    return table


def texts(head: str, cells: Iterable[CellResult], text: Callable[[CellResult], str]) -> Column:
    """A column of what ``text`` says of each cell."""
    return head, [Value(text(cell)) for cell in cells]


def ranked(head: str, cells: Sequence[CellResult], metric: str) -> Column:
    """A column of means with their intervals, the leaders marked where the metric is better one way."""
    better, estimates = METRICS[metric].better, [cell.estimate(metric) for cell in cells]
    compared = comparable(cells, metric)
    scores = [numbers.estimate(list(cell.score(metric).values())) if cell in compared else None for cell in cells]
    marks = numbers.marks(scores, better) if better else [""] * len(scores)
    if metric == "bits_per_dim" and single(cells):
        errors = [cell.mean("bits_per_dim_standard_error") for cell in cells]
        estimates = [e and Estimate(e.mean, error, e.n) for e, error in zip(estimates, errors, strict=True)]
    spreads = [numbers.spread(e, count=not single(cells)) for e in estimates]
    return head, [Value(text, mark) for text, mark in zip(spreads, marks, strict=True)]


def mean(head: str, cells: Iterable[CellResult], metric: str) -> Column:
    """A column of means alone."""
    return texts(head, cells, lambda cell: numbers.significant(cell.mean(metric)))


def times(head: str, cells: Iterable[CellResult], metric: str) -> Column:
    """A column of factors, from the least of any seed to the most."""
    return texts(head, cells, lambda cell: f"{numbers.span(cell.finished(metric))} ×")


def count(head: str, cells: Iterable[CellResult], metric: str) -> Column:
    """A column of means of whole numbers."""
    return texts(head, cells, lambda cell: "–" if (value := cell.mean(metric)) is None else f"{value:,.0f}")


def worst(head: str, cells: Iterable[CellResult], metric: str) -> Column:
    """A column of errors, the largest of all seeds."""
    return texts(head, cells, lambda cell: numbers.power(cell.worst(metric)))


def measured(cells: Iterable[CellResult], metric: str) -> bool:
    """Whether any cell has the metric."""
    return any(metric in cell.values for cell in cells)


def meanings(heads: Mapping[str, str]) -> dict[str, str]:
    """What metrics mean by the heads of their columns; ``heads`` are by metric."""
    return {head: METRICS[metric].about for metric, head in heads.items()}


def single(cells: Iterable[CellResult]) -> bool:
    """Whether each cell has one seed."""
    return all(len(cell.training["seeds"]) == 1 for cell in cells)
