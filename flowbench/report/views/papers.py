"""What papers report, as tables: beside ours where the settings agree, and the rest as context."""

from __future__ import annotations

from collections.abc import Collection

from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement import published
from flowbench.report.judgement.published import Published
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Table, filled, of_words
from flowbench.report.views.text import say


def tables(scope: Scope) -> list[Table]:
    """The published values on one data set: beside ours where the settings agree, and the others as context."""
    found = []
    for metric in published.metrics(scope.cells[0].data):
        name = METRICS[metric].head[:1].upper() + METRICS[metric].head[1:]
        heads = ["ours", "published", "our budget", "their budget", "setting", "published as"]
        beside = [
            (
                cell.label,
                scope.written(cell, metric),
                _value(value),
                _our_budget(scope, cell),
                value.budget,
                value.setting,
                f"{value.model}, {_source(value)}",
            )
            for cell in scope.cells
            for value in published.beside(cell, metric)
        ]
        context = [
            (value.model, _value(value), "; ".join(apart), value.setting, value.budget, _source(value))
            for value, apart in published.context(scope.cells, metric)
        ]
        theirs = [METRICS[metric].head, "what differs", "setting", "budget", "published in"]
        found.append(of_words(say("beside", name=name), "flow", heads, beside))
        found.append(of_words(say("context", name=name), "model", theirs, context))
    return filled(found)


def not_run(data: str, flows: Collection[str]) -> list[Table]:
    """The published values on a data set of which no cell was run; ``flows`` are those that the suite has on it."""
    found = []
    for metric in published.metrics(data):
        name = METRICS[metric].head[:1].upper() + METRICS[metric].head[1:]
        rows = [
            (
                value.model,
                say("not_run") if value.flow in flows else "–",
                _value(value),
                value.setting,
                value.budget,
                _source(value),
            )
            for value in published.load()
            if (value.data, value.metric) == (data, metric)
        ]
        heads = ["ours", METRICS[metric].head, "setting", "budget", "published in"]
        found.append(of_words(say("published_alone", name=name), "model", heads, rows))
    return filled(found)


def _our_budget(scope: Scope, cell: CellResult) -> str:
    """How long each seed is trained, and the time that it takes."""
    trained = say("budget", budget=cell.budget)
    return f"{trained}; {numbers.significant(scope.value(cell, 'train_seconds'))} s on {cell.place}"


def _value(value: Published) -> str:
    return f"{value.value:.2f}" if value.uncertainty is None else f"{value.value:.3f} ± {value.uncertainty:.3f}"


def _source(value: Published) -> str:
    derived = f"; {value.derived}" if value.derived else ""
    return f"{value.paper} {value.year}, arXiv {value.arxiv}{derived}"
