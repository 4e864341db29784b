"""With which options the cells were built and trained, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from flowbench.config import TrainBudget
from flowbench.report.cells import CellResult
from flowbench.report.layout import Row, Table, Value
from flowbench.report.words import words

# They mean something only where an energy is learnt, or a teacher's density.
_OF_ENERGIES = ("anneal_steps", "snapshot_every")
_OF_TEACHERS = ("anneal_steps",)
# And these in one architecture of flow matching or with one coupling.
_OF_FLOW_MATCHING = {
    ("architecture", "vector"): ("hidden", "frequencies"),
    ("architecture", "unet"): ("channels", "multipliers", "blocks", "attention"),
    ("coupling", "optimal-transport"): ("coupled_at_once",),
}


def settings(suite: str, cells: Sequence[CellResult]) -> list[Table]:
    """The options of every data set, flow and training, defaults included."""
    data = Table("Data", ["options"], first="data", words=True)
    for name, options in {cell.data: cell.params["data"] for cell in cells}.items():
        data.rows.append(Row(name, [Value(_list(options))]))
    models = Table("Models", ["data", "options"], first="flow", words=True)
    for cell in cells:
        models.rows.append(Row(cell.label, [Value(cell.data), Value(_list(_model(cell)))]))
    trainings = Table("Training, by Adam", ["flows", "options"], first="data", words=True)
    for name in dict.fromkeys(cell.data for cell in cells):
        trained = [cell for cell in cells if cell.data == name and not cell.baseline]
        alike = defaultdict(list)
        for cell in trained:
            alike[_training(cell)].append(cell.label)
        for training, labels in alike.items():
            names = "all" if len(labels) == len(trained) else ", ".join(labels)
            trainings.rows.append(Row(name, [Value(names), Value(training)]))
    return [table for table in (origins(suite, cells), data, models, trainings) if table.rows]


def origins(suite: str, cells: Sequence[CellResult]) -> Table:
    """What each cell is made of and by, and how its record is told."""
    caption = (
        f"Cells: the keys of params.yaml that make them; the command, where this suite is active (`flowbench suite "
        f"{suite}`); the MD5 of metrics.json, which dvc.lock has too; and the beginning of the MLflow run's tag "
        "flowbench.digest. `flowbench verify CELL` makes a cell again and compares."
    )
    table = Table(caption, ["made of", "made by", "metrics.json", "MLflow run"], first="cell", words=True, origin=True)
    for cell in cells:
        of = cell.params["cell"]
        parts = [f"data.{of['data']}", f"flows.{of['flow']}.{of['config']}", f"budgets.{of['budget']}"]
        student = "_student" if "teacher" in of else ""
        entries = [", ".join(parts), f"dvc repro evaluate{student}@{cell.key}", cell.metrics_md5, cell.digest[:12]]
        table.rows.append(Row(cell.key, [Value(text) for text in entries], cell=cell.key))
    return table


def _list(options: dict[str, Any]) -> str:
    return ", ".join(words(name, value) for name, value in options.items()) or "none"


def _model(cell: CellResult) -> dict[str, Any]:
    """The options of a flow that mean something beside its others."""
    options = cell.params["flow"]
    if cell.params["cell"]["flow"] != "flow_matching":
        return options
    unused = [name for (key, value), names in _OF_FLOW_MATCHING.items() if options.get(key) != value for name in names]
    return {name: value for name, value in options.items() if name not in unused}


def _training(cell: CellResult) -> str:
    """The options of a budget in the order of `TrainBudget`; what zero or false switches off comes last."""
    budget = cell.params["budget"] | {"seeds": str(cell.params["budget"]["seeds"])}
    if budget.get("validation_examples", "") is None:
        budget["validation_examples"] = "all"
    unused = set(_OF_ENERGIES)
    if "teacher" in cell.params["cell"]:
        unused -= set(_OF_TEACHERS)
    elif cell.epochs is None:
        unused = set()
    names = [name for name in dict.fromkeys([*TrainBudget.model_fields, *budget]) if name in budget]
    shown = {name: budget[name] for name in names if name not in unused}
    text = _list({name: value for name, value in shown.items() if value})
    off = ", ".join(name.replace("_", " ") for name, value in shown.items() if not value)
    return f"{text}; without {off}" if off else text
