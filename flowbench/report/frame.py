"""All values of a suite as one tidy frame, and the facts of its cells."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.metrics.catalogue import LOST_AT
from flowbench.records.record import Record

# Of results.csv, where the data set and the label are called what readers call them.
CSV_COLUMNS = ["suite", "cell", "dataset", "flow", "seed", "metric", "value", "unit", "n", "device"]


# What stands in place of the commit of a cell that was not made in a git repository, as those of `flowbench bench`.
NO_COMMIT = "unknown"


@dataclass(frozen=True)
class CellResult:
    """One cell of the report.

    Attributes:
        key: in the suite.
        label: what its row is called beside the others on its data.
        digest: that its MLflow run is tagged with; empty if unknown.
        record: what it left on disk.
    """

    key: str
    label: str
    digest: str
    record: Record

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """What the cell was trained with: ``cell``, ``data``, ``flow`` and ``budget``, defaults included."""
        return self.record.training.provenance.params

    @property
    def data(self) -> str:
        return self.params["cell"]["data"]

    @property
    def flow(self) -> str:
        return self.params["cell"]["flow"]

    @property
    def teacher(self) -> str | None:
        """Key of the cell that it learnt from."""
        return self.params["cell"].get("teacher")

    @property
    def baseline(self) -> bool:
        return self.record.training.kind == "baseline"

    @property
    def likelihood(self) -> str:
        """What its log p(x) is: ``exact``, ``estimate``, ``bound`` or ``none``."""
        return self.record.training.likelihood

    @property
    def learns_by(self) -> str:
        """What trains the flow of an autoencoder: ``likelihood`` or ``reconstruction``; else empty."""
        return self.params["flow"].get("flow_learns_by", "")

    @property
    def seeds(self) -> list[int]:
        return list(self.record.training.seeds)

    @property
    def diverged(self) -> dict[int, int]:
        """The step at which each diverged seed was lost."""
        outcomes = self.record.training.seeds.items()
        return {seed: one.diverged_at or 0 for seed, one in outcomes if one.status == "diverged"}

    @property
    def failed(self) -> dict[int, str]:
        """Why each failed seed could not be trained."""
        outcomes = self.record.training.seeds.items()
        return {seed: one.reason for seed, one in outcomes if one.status == "failed"}

    @property
    def not_measured(self) -> dict[int, str]:
        """Why a seed was measured in part."""
        return self.record.evaluation.not_measured

    @property
    def device(self) -> str:
        return self.record.training.timings.host.device

    @property
    def place(self) -> str:
        """The device of the training in a word or two: ``cpu``, or the model of the GPU."""
        return self.record.training.timings.host.place

    @property
    def hosts(self) -> list[str]:
        """Where it was trained and, if that was elsewhere, where it was measured."""
        return list(dict.fromkeys([str(self.record.training.timings.host), str(self.record.evaluation.timings.host)]))

    @property
    def epochs(self) -> float | None:
        """Passes over the training split; ``None`` where none is learnt from."""
        return max((one.epochs or 0.0 for one in self.record.training.seeds.values()), default=0.0) or None

    @property
    def budget(self) -> tuple[int, int, float | None] | None:
        """Steps, examples per step and epochs of each seed; ``None`` of a baseline, which is fitted."""
        budget = self.params["budget"]
        return None if self.baseline else (budget["steps"], budget["batch_size"], self.epochs)

    @property
    def commit(self) -> str:
        """At which it was trained."""
        return self.record.training.timings.git_commit or NO_COMMIT


def load(results: Path, suite: Suite, digests: Mapping[str, str]) -> list[CellResult]:
    """The cells of a suite that are in ``results``, in the order of the suite."""
    return [
        CellResult(
            key=key,
            label=suite.label(key),
            digest=digests.get(key, ""),
            record=Record.load(results / key),
        )
        for key in suite.cells
        if (results / key).is_dir()
    ]


def tidy(suite: str, cells: Sequence[CellResult]) -> pd.DataFrame:
    """Every value of every seed, one a row, and a row for each lost seed with the step at which it was lost.

    Columns: ``suite``, ``cell``, ``data``, ``label``, ``kind`` (``flow`` or ``baseline``), ``device``, ``seed``,
    ``metric``, ``value``, ``n``, ``unit`` and ``lost``, which is true of seeds that did not finish.
    """
    rows = []
    for cell in cells:
        training = cell.record.training
        lost = set(training.seeds) - set(training.finished)
        about = (suite, cell.key, cell.data, cell.label, training.kind, cell.device)
        for metric, by_seed in cell.record.values.items():
            unit = METRICS[metric].unit
            rows += [
                (*about, seed, metric, float(one.value), one.n, unit, seed in lost) for seed, one in by_seed.items()
            ]
        steps = {(LOST_AT["diverged"], seed): step for seed, step in cell.diverged.items()}
        steps |= {(LOST_AT["failed"], seed): training.seeds[seed].steps for seed in cell.failed}
        rows += [(*about, seed, name, float(step), 1, "step", True) for (name, seed), step in steps.items()]
    columns = ["suite", "cell", "data", "label", "kind", "device", "seed", "metric", "value", "n", "unit", "lost"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": int, "value": float, "n": int, "lost": bool})


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write ``results.csv``: the same bytes for the same values."""
    table = frame.rename(columns={"data": "dataset", "label": "flow"}).sort_values(["suite", "cell", "seed", "metric"])
    table.to_csv(path, columns=CSV_COLUMNS, index=False, na_rep="nan", encoding="utf-8", lineterminator="\n")


def read_csv(text: str) -> pd.DataFrame | None:
    """The frame that `write_csv` wrote as ``text``; ``None`` if the text is no such table.

    The file does not say which cells are baselines and which seeds were lost: all count as flows that finished.
    """
    try:
        frame = pd.read_csv(io.StringIO(text), usecols=CSV_COLUMNS)
    except ValueError:  # an empty text, or columns of another time
        return None
    return frame.rename(columns={"dataset": "data", "flow": "label"}).assign(kind="flow", lost=False)
