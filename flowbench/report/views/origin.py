"""Where the numbers of a page come from: options, commands, hosts, versions and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flowbench.config import TrainBudget
from flowbench.records.files import METRICS_FILE
from flowbench.report.frame import Cell
from flowbench.report.judgement.published import words
from flowbench.report.views.layout import Row, Table, Value, by_fact, of_words
from flowbench.report.views.text import say
from flowbench.runtime.files import md5

# These mean something only in one architecture of flow matching or with one coupling.
_OF_FLOW_MATCHING = {
    ("architecture", "vector"): ("hidden", "frequencies"),
    ("architecture", "unet"): ("channels", "multipliers", "blocks", "attention"),
    ("coupling", "optimal-transport"): ("coupled_at_once",),
}


def facts(cells: Sequence[Cell]) -> dict[str, Any]:
    """What the pages lay out of hosts, versions, commits, data and options."""
    return {
        "versions": versions(cells),
        "commits": by_value(cells, lambda cell: cell.record.training.timings.git_commit or "unknown"),
        "fingerprints": fingerprints(cells),
        "settings": [table for table in (origins(cells), *settings(cells)) if table.rows],
    }


def origins(cells: Sequence[Cell]) -> Table:
    """What each cell is made of and by, and how its record is told."""
    table = Table(say("origins"), ["made of", "made by", "metrics.json", "MLflow run"], [], "cell", True, origin=True)
    for cell in cells:
        of = cell.params["cell"]
        parts = [f"data.{of['data']}", f"flows.{of['flow']}.{of['config']}", f"budgets.{of['budget']}"]
        entries = [", ".join(parts), cell.command, md5(cell.record.folder / METRICS_FILE), cell.digest[:12]]
        table.rows.append(Row(cell.key, [Value(text) for text in entries], cell=cell.key))
    return table


def settings(cells: Sequence[Cell]) -> list[Table]:
    """The options of every data set, flow and training, defaults included."""
    data = [(name, _list(options)) for name, options in {cell.data: cell.params["data"] for cell in cells}.items()]
    models = [(cell.label, cell.data, _list(_model(cell))) for cell in cells]
    trainings = []
    for name in dict.fromkeys(cell.data for cell in cells):
        trained = [cell for cell in cells if cell.data == name and not cell.baseline]
        for training, labels in by_fact(trained, _training).items():
            names = "all" if len(labels) == len(trained) else ", ".join(labels)
            trainings.append((name, names, training))
    return [
        of_words("Data", "data", ["options"], data),
        of_words("Models", "flow", ["data", "options"], models),
        of_words("Training, by Adam", "data", ["flows", "options"], trainings),
    ]


def _list(options: Mapping[str, Any]) -> str:
    return ", ".join(words(name, value) for name, value in options.items()) or "none"


def _model(cell: Cell) -> dict[str, Any]:
    """The options of a flow that mean something beside its others."""
    options = cell.params["flow"]
    if cell.flow != "flow_matching":
        return options
    unused = [name for (key, value), names in _OF_FLOW_MATCHING.items() if options.get(key) != value for name in names]
    return {name: value for name, value in options.items() if name not in unused}


def _training(cell: Cell) -> str:
    """The options of a budget in the order of `TrainBudget`; what zero or false switches off comes last."""
    of = cell.params["cell"]
    budget = cell.params["budget"] | {"seeds": str(of["seeds"]), "device": of["device"]}
    if budget.get("validation_examples", "") is None:
        budget["validation_examples"] = "all"
    unused = {"snapshot_every"}  # it changes pictures alone
    if not cell.teacher and cell.epochs is not None:  # neither a teacher's density nor an energy is learnt
        unused.add("anneal_steps")
    names = [name for name in dict.fromkeys([*TrainBudget.model_fields, *budget]) if name in budget]
    shown = {name: budget[name] for name in names if name not in unused}
    text = _list({name: value for name, value in shown.items() if value})
    off = ", ".join(name.replace("_", " ") for name, value in shown.items() if not value)
    return f"{text}; without {off}" if off else text


def hosts(cells: Sequence[Cell]) -> dict[str, str]:
    """Each host in words, and the letter that stands for it."""
    return {host: chr(ord("A") + i) for i, host in enumerate(sorted({host for cell in cells for host in cell.hosts}))}


def versions(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """Each library's versions with the cells that ran on them; Python's comes first."""
    names = {name for cell in cells for name in cell.record.training.provenance.versions}
    return {
        name: by_value(cells, lambda cell, name=name: cell.record.training.provenance.versions.get(name, "–"))
        for name in sorted(names, key=lambda name: (name != "python", name))
    }


def fingerprints(cells: Sequence[Cell]) -> dict[str, dict[str, str]]:
    """By data set the splits with the first digits of their fingerprints, and the names of the cells that have these.

    There is one entry for each, unless cells that should have seen the same data have not.
    """
    return {
        name: by_value([cell for cell in cells if cell.data == name], _splits)
        for name in dict.fromkeys(cell.data for cell in cells)
    }


def _splits(cell: Cell) -> str:
    return ", ".join(f"{split} {sha[:12]}" for split, sha in cell.splits.items())


def by_value(cells: Sequence[Cell], value: Callable[..., str]) -> dict[str, str]:
    """Each value that a fact takes, with the names of the cells where it does."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(value(cell), []).append(cell)
    return {found: names_of(group, cells) for found, group in groups.items()}


def names_of(group: Sequence[Cell], cells: Sequence[Cell]) -> str:
    """The keys of some of the cells."""
    return "all cells" if len(group) == len(cells) else ", ".join(cell.key for cell in group)
