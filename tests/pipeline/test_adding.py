"""What a new flow, data set, metric or suite touches: one file and one entry, and the suite that has it as a cell."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from flowbench import data
from flowbench.config import documents
from tests.pipeline.clone import WORKING_TREE, Clone

# For each line with a suite and a cell, in a process that need not import torch: `flowbench expand`, then what
# the stages do for one cell.
PROGRAM = """\
import os, sys
import torch, torchdiffeq, scipy.optimize, pydantic, typer, ruamel.yaml, matplotlib.figure

def run(suite, key):
    from flowbench import cli, data
    from flowbench.cell import Cell
    from flowbench.evaluation.cell import CellEvaluation
    from flowbench.training.cell import CellTraining

    sys.argv[1:] = ["expand"]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code
    cell = Cell.resolve(suite, key)
    data.save(cell.source, cell.data_folder)
    CellTraining(cell).run()
    CellEvaluation(Cell.resolve(suite, key)).run()

assert "flowbench" not in sys.modules
for line in sys.stdin:
    if not (child := os.fork()):
        run(*line.split())
        sys.stdout.flush()
        os._exit(0)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
FLOW = '''\
"""A flow of one's own."""

from pydantic import PositiveInt

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.affine import ElementwiseAffine


def build(event: Event, *, layers: PositiveInt) -> FlowModel:
    """Several element-wise affine maps, one behind the other."""
    return vector_flow(event, [ElementwiseAffine((event.dims,)) for _ in range(layers)])
'''
SOURCE = '''\
"""A data set of one's own."""

import numpy as np

from flowbench.core import Event
from flowbench.data import SampledSource


class Triangle(SampledSource):
    """Two independent triangular variables."""

    event = Event((2,))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.triangular(-1, 0, 2, size=(n, 2))


source = Triangle
'''
METRIC = """\
    "median_log_prob": Metric("nats", "higher", "Median log-likelihood of a test example.", "likelihood"),
"""
MEASURE = """

def _median(subject: Subject) -> dict[str, Measured]:
    assert subject.log_prob is not None
    return over(len(subject.log_prob), {"median_log_prob": float(np.median(subject.log_prob))})


FAMILIES.append(Family("median", lambda subject: subject.log_prob is not None, _median))
"""
SUITE = """\
about: one cell
seeds: [0]
cells: [{data: [gaussian], config: plane, budgets: {smoke-without-pictures: [affine]}}]
"""
SMOKE_GAUSSIAN = "  - {data: [gaussian], config: plane, budgets: {smoke-without-pictures: [affine]}}\n"


@dataclass
class Addition:
    """Files that are written, edits of others, the cell that is then run, and what `flowbench expand` writes."""

    edits: dict[str, tuple[str, str]]
    suite: str = "smoke"
    cell: str = "gaussian-affine"
    files: dict[str, str] = field(default_factory=dict)
    expanded: tuple[str, ...] = ()
    metric: str = "bits_per_dim"


ADDITIONS = {
    "a flow": Addition(
        files={"flowbench/flows/affines.py": FLOW},
        edits={
            "params.yaml": ("flows:\n", "flows:\n  affines: {plane: {layers: 2}}\n"),
            "suites/smoke.yaml": (SMOKE_GAUSSIAN, SMOKE_GAUSSIAN.replace("affine", "affine, affines")),
        },
        cell="gaussian-affines",
        expanded=("suites/smoke/cells.json",),
    ),
    "a data set": Addition(
        files={"flowbench/data/triangle.py": SOURCE},
        edits={
            "params.yaml": ("data:\n", "data:\n  triangle: {train: 2000, validation: 500, test: 500}\n"),
            "suites/smoke.yaml": (SMOKE_GAUSSIAN, SMOKE_GAUSSIAN.replace("gaussian", "gaussian, triangle")),
        },
        cell="triangle-affine",
        expanded=("suites/smoke/cells.json", "stages/data.yaml"),
    ),
    "a metric": Addition(
        edits={
            "flowbench/metrics/catalogue.py": (
                "METRICS: dict[str, Metric] = {\n",
                f"METRICS: dict[str, Metric] = {{\n{METRIC}",
            ),
            "flowbench/evaluation/likelihood.py": ("", MEASURE),
        },
        metric="median_log_prob",
    ),
    "a suite": Addition(
        files={"suites/mine.yaml": SUITE},
        edits={},
        suite="mine",
        expanded=("suites/mine/cells.json", "suites/mine/dvc.yaml", "stages/suites.yaml"),
    ),
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    return Clone.of_working_tree(tmp_path_factory.mktemp("adding"))


@pytest.fixture(scope="module")
def runs(clone) -> Iterator[Callable[[str, str], str]]:
    """A function that runs a cell of the clone as it is now; what it prints."""
    process = clone.start(sys.executable, "-c", PROGRAM, stdin=subprocess.PIPE)

    def run(suite: str, key: str) -> str:
        process.stdin.write(f"{suite} {key}\n")
        process.stdin.flush()
        told = ""
        while not (line := process.stdout.readline()).startswith("ended "):
            assert line, told
            told += line
        assert line == "ended 0\n", told
        return told

    with process:
        yield run
        process.stdin.close()


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=ADDITIONS)
def test_an_addition_is_one_file_and_one_entry(clone, runs, addition):
    for name, text in addition.files.items():
        (clone.root / name).write_text(text, encoding="utf-8")
    for name, (old, new) in addition.edits.items():
        if old:
            clone.edit(name, old, new)
        else:
            with (clone.root / name).open("a", encoding="utf-8") as file:
                file.write(new)
    try:
        runs(addition.suite, addition.cell)
        changes = clone.git("status", "--porcelain", "--untracked-files=all").splitlines()
        assert {line[3:] for line in changes} == {*addition.files, *addition.edits, *addition.expanded}
        metrics = documents.read(clone.root / "results" / addition.suite / addition.cell / "metrics.json")
        assert metrics["status"] == "finished"
        assert isinstance(metrics[addition.metric], float)
    finally:
        clone.restore()
        clone.git("clean", "--quiet", "--force", "-d")


TABLE = """\
from pathlib import Path

from flowbench.core import Event
from flowbench.data import Source


class Table(Source):
    event = Event((2,))

    def files(self):
        return (Path("my data.csv"),)


source = Table
"""


def test_a_file_of_ones_own_is_a_dependency_of_its_download(tmp_path, monkeypatch):
    """The real ``stages/dvc.yaml``, with commands that only make the outputs."""
    from dvc.repo import Repo
    from typer.testing import CliRunner

    from flowbench import cli

    clone = Clone(tmp_path)
    clone.root.mkdir()
    shutil.copytree(WORKING_TREE / "stages", clone.root / "stages", ignore=shutil.ignore_patterns("*.lock", "*.pyc"))
    (clone.root / "suites").mkdir()
    (clone.root / "flowbench").mkdir()
    (clone.root / "plugins").mkdir()
    plugins = clone.root / "flowbench" / "own"
    plugins.mkdir()
    (plugins / "own_table.py").write_text(TABLE, encoding="utf-8")
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(plugins)])
    monkeypatch.setitem(sys.modules, "flowbench.data.own_table", None)  # taken out again in the end
    del sys.modules["flowbench.data.own_table"]
    (clone.root / "params.yaml").write_text("data: {own_table: {}}\nflows: {}\nbudgets: {}\n", encoding="utf-8")
    (clone.root / "my data.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    with clone.here():
        assert CliRunner().invoke(cli.app, ["expand"]).exit_code == 0
        assert documents.read(clone.root / "stages/data.yaml") == {"data": {"own_table": {"reads": "my data.csv"}}}
        text = (WORKING_TREE / "stages/dvc.yaml").read_text(encoding="utf-8")
        for old, new in {
            "python -m stages.code": "mkdir -p code/download && touch code/download/own_table.json",
            "python -m stages.download ${key}": "mkdir -p data/${key} && touch data/${key}/train.npy",
        }.items():
            assert old in text
            text = text.replace(old, new)
        (clone.root / "stages/dvc.yaml").write_text(text, encoding="utf-8")
        with Repo.init(no_scm=True) as repo:
            repo.reproduce(targets=["stages/dvc.yaml"])
            assert repo.status() == {}
        (clone.root / "my data.csv").write_text("x,y\n1,3\n", encoding="utf-8")
        with Repo() as repo:
            (stage, changes), *others = repo.status().items()
        assert (stage, others) == ("stages/dvc.yaml:download@own_table", [])
        assert "my data.csv" in str(changes)
