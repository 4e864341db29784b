"""Suites: ``suites/<name>.yaml`` says which cells a suite has, and ``cells.json`` lists them for DVC.

A person writes blocks, such as every flow on four data sets. DVC needs a dict with one entry for each cell, so
`write` expands the blocks into ``cells.json``, beside the suite's ``dvc.yaml`` and ``dvc.lock``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeInt

from flowbench.config.documents import check_names, read
from flowbench.config.errors import ConfigError, known
from flowbench.config.params import Params
from flowbench.config.places import DEFAULT as DEFAULT
from flowbench.config.sections import Section, parse

SUITES = Path("suites")
CELLS = "cells.json"
PIPELINE = "dvc.yaml"
# What a report depends on where there are no trials: the code that would read them, on which it depends anyhow.
NO_TRIALS = Path("flowbench", "records", "tuning.py")


def _distinct(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("must not hold a value twice")
    return values


Seeds = Annotated[list[NonNegativeInt], Field(min_length=1), AfterValidator(_distinct)]
Device = Literal["auto", "cpu", "cuda"]


class Block(Section):
    """Each of some flows on each of some data sets.

    A label is a flow's name with an optional suffix, such as ``glow-mixture``. The suffix chooses the configuration.

    Attributes:
        data: names of data sets.
        config: the configuration of the flows; ``glow-mixture`` takes the one with ``-mixture`` behind it.
        budgets: the labels of the flows that have each budget.
        teachers: the label of the teacher, a cell on the same data, of each flow that learns from one.
    """

    data: Annotated[list[str], Field(min_length=1)]
    config: str
    budgets: Annotated[dict[str, list[str]], Field(min_length=1)]
    teachers: dict[str, str] = Field(default_factory=dict)


class Blocks(Section):
    """The whole of ``suites/<name>.yaml``.

    Attributes:
        about: what the suite is, in a sentence without a full stop.
        seeds: one training of each cell for each.
        device: ``auto`` takes a GPU where there is one; a named kind is refused where it is missing.
    """

    about: str
    seeds: Seeds
    device: Device = "auto"
    cells: Annotated[list[Block], Field(min_length=1)]


class CellConfig(Section):
    """One flow, in one configuration, on one data set, under one budget.

    Attributes:
        teacher: key of the cell that it learns from; null where it learns from data or an energy.
        learns_from: the path that its training depends on besides the whole data set: the teacher's weights, or for
            a cell without a teacher the training split.
    """

    data: str
    flow: str
    config: str
    budget: str
    seeds: Seeds
    device: Device
    teacher: str | None = None
    learns_from: str


@dataclass(frozen=True)
class Suite:
    """A named set of cells, by key; a cell's key is ``<data>-<label>``."""

    name: str
    about: str
    cells: dict[str, CellConfig]

    @property
    def source(self) -> Path:
        """The file that a person edits."""
        return source(self.name)

    @property
    def folder(self) -> Path:
        """The folder of the suite's pipeline, relative to the repository's root."""
        return folder(self.name)

    @property
    def trials(self) -> Path:
        """The table of the trials that ``flowbench tune`` made of the suite's cells; there may be none."""
        return SUITES / f"{self.name}.trials.csv"

    @property
    def results(self) -> Path:
        """The folder of the cells' results."""
        return Path("results", self.name)

    @property
    def data(self) -> list[str]:
        """The data sets, in the order of the cells."""
        return list(dict.fromkeys(cell.data for cell in self.cells.values()))

    def cell(self, key: str) -> CellConfig:
        """The cell called ``key``; a `ConfigError` names the nearest where there is none."""
        return self.cells[known(key, self.cells, f"{self.source}: cell", "cell")]

    def label(self, key: str) -> str:
        """What a cell's row is called beside the others on its data: the flow, and what sets it apart."""
        return key.removeprefix(f"{self.cells[key].data}-")

    def stage(self, step: str, key: str = "") -> str:
        """The name that DVC knows a stage by at the repository's root, such as ``train@moons-glow``."""
        return stage(self.name, step, key)

    @property
    def repro(self) -> str:
        """The command that makes the suite."""
        return "dvc repro" if self.folder == Path() else f"dvc repro {self.folder / PIPELINE}"


def source(name: str) -> Path:
    """The file of a suite that a person edits."""
    return SUITES / f"{name}.yaml"


def folder(name: str) -> Path:
    """The folder of a suite's pipeline: it holds ``dvc.yaml``, ``cells.json`` and ``dvc.lock``."""
    return Path() if name == DEFAULT else SUITES / name


def stage(suite: str, step: str, key: str = "") -> str:
    """The name that DVC knows a stage of a suite by at the repository's root, such as ``train@moons-glow``."""
    pipeline = "" if folder(suite) == Path() else f"{folder(suite) / PIPELINE}:"
    return f"{pipeline}{step}{key and f'@{key}'}"


def names(root: Path = Path()) -> list[str]:
    """All suites, the default one first."""
    found = sorted(path.stem for path in (root / SUITES).glob("*.yaml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def load(name: str, params: Params, root: Path = Path()) -> Suite:
    """The suite called ``name``, checked against ``params.yaml``; no other suite's file is read.

    Raises:
        ConfigError: there is no such suite, or there is a mistake in its file.
    """
    known(name, names(root), "suite", "suite")
    check_names([name], f"{SUITES}: suite")
    blocks = parse(Blocks, read(root / source(name)), str(source(name)))
    cells: dict[str, CellConfig] = {}
    for i, block in enumerate(blocks.cells):
        where = f"{source(name)}: cells.{i}"
        for data in block.data:
            known(data, params.data, f"{where}.data", "data set")
        for budget in block.budgets:
            known(budget, params.budgets, f"{where}.budgets", "budget")
        labels = [label for of_budget in block.budgets.values() for label in of_budget]
        for label in block.teachers:
            known(label, labels, f"{where}.teachers", "flow of this block")
        for data, (budget, of_budget) in product(block.data, block.budgets.items()):
            for label in of_budget:
                key = f"{data}-{label}"
                if key in cells:
                    raise ConfigError(f"{where}.budgets.{budget} = {label!r}: there is a cell {key} already")
                flow, config = _flow_and_config(label, block.config, params, f"{where}.budgets.{budget}")
                teacher = f"{data}-{block.teachers[label]}" if label in block.teachers else None
                cells[key] = CellConfig(
                    data=data,
                    flow=flow,
                    config=config,
                    budget=budget,
                    seeds=blocks.seeds,
                    device=blocks.device,
                    teacher=teacher,
                    learns_from=f"results/{name}/{teacher}/trained" if teacher else f"data/{data}/train.npy",
                )
    suite = Suite(name, blocks.about, cells)
    for key, cell in cells.items():
        if cell.teacher is not None:
            _check_teacher(suite, key, cell)
    return suite


def _flow_and_config(label: str, config: str, params: Params, where: str) -> tuple[str, str]:
    """The flow that a label begins with, and the configuration that its suffix chooses."""
    check_names([label], where)
    flow, _, suffix = label.partition("-")
    known(flow, params.flows, where, "flow")
    config = f"{config}-{suffix}" if suffix else config
    return flow, known(config, params.flows[flow], f"{where}: {label}: config", f"configuration of {flow}")


def expanded(suite: Suite, root: Path = Path()) -> str:
    """The text of ``cells.json``, one line for each cell.

    DVC reads it anew for each stage, and JSON sixty times faster than YAML.
    """
    head = {
        "made": f"from {suite.source} by `flowbench expand`; edit that file instead",
        "suite": suite.name,
        "root": "." if suite.folder == Path() else "../..",
        "file": str(suite.folder / CELLS),
        # DVC refuses a file that does not exist.
        "trials": str(suite.trials if (root / suite.trials).exists() else NO_TRIALS),
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    cells = [
        f"    {json.dumps(key)}: {json.dumps(cell.model_dump(exclude_none=True))}" for key, cell in suite.cells.items()
    ]
    return "\n".join(["{", *lines, '  "cells": {', ",\n".join(cells), "  }", "}", ""])


def write(suite: Suite, root: Path = Path()) -> bool:
    """Write a suite's ``cells.json`` and, beside it, the link to the one ``dvc.yaml``; whether anything changed."""
    place = root / suite.folder
    place.mkdir(parents=True, exist_ok=True)
    link = place / PIPELINE
    missing = suite.folder != Path() and not link.exists()
    if missing:
        link.unlink(missing_ok=True)  # a broken link
        link.symlink_to(Path("../..", PIPELINE))
    fresh = is_fresh(suite, root)
    if not fresh:
        (place / CELLS).write_text(expanded(suite, root), encoding="utf-8")
    return missing or not fresh


def is_fresh(suite: Suite, root: Path = Path()) -> bool:
    """Whether ``cells.json`` lists the cells that the suite's file asks for."""
    path = root / suite.folder / CELLS
    return path.is_file() and path.read_text(encoding="utf-8") == expanded(suite, root)


def load_fresh(name: str, params: Params, root: Path = Path()) -> Suite:
    """`load`, for a stage: DVC has read ``cells.json``, which must be that of the suite.

    Raises:
        ConfigError: as `load`; or the file is older than what it is made from.
    """
    suite = load(name, params, root)
    if not is_fresh(suite, root):
        raise ConfigError(f"{suite.folder / CELLS}: is not what {suite.source} asks for; run `flowbench expand`")
    return suite


def _check_teacher(suite: Suite, key: str, cell: CellConfig) -> None:
    """A student's teacher is another cell of the suite that learns from data itself."""
    where = f"{suite.source}: {key}: teacher"
    assert cell.teacher is not None
    teacher = suite.cells[known(cell.teacher, suite.cells.keys() - {key}, where, "cell on the same data")]
    if teacher.teacher is not None:
        raise ConfigError(f"{where} = {cell.teacher!r}: learns from a teacher itself; choose a cell that does not")
