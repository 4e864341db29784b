"""What a cell left behind, read from its files."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowbench import config
from flowbench.metrics import METRICS
from flowbench.report.numbers import Estimate, estimate, significant
from flowbench.report.statistics import Difference, paired
from flowbench.runtime.files import md5

# The metrics over test examples, and how many of the first of them count at most: distances are between no more samples
# than `config.EvaluateBudget` has by default, or than `evaluation.transport.POINTS`, and as many test examples.
MOST_EXAMPLES = {
    "bits_per_dim": math.inf,
    "reconstruction_error": math.inf,
    "psnr": math.inf,
    "sliced_wasserstein": 5000,
    "energy_distance": 5000,
    "wasserstein_2": 1000,
}


@dataclass(frozen=True)
class CellResult:
    """One cell of the report.

    Attributes:
        key: of the cell in ``params.yaml``.
        label: what its row is called beside the others on its data.
        training: ``training.json``.
        timings: ``train_timings.json``.
        measuring: ``timings.json``, which tells of the evaluation.
        values: metric to seed to value; the host-dependent metrics among them.
        history: seed to rows of step, loss and validation loss (``None`` where it was not measured).
        pictures: by name, such as ``density``.
        not_measured: why a seed was measured in part, by seed.
        metrics_md5: the MD5 of ``metrics.json``, which ``dvc.lock`` has too.
        digest: that its MLflow run is tagged with.
    """

    key: str
    label: str
    training: dict[str, Any]
    timings: dict[str, Any]
    measuring: dict[str, Any]
    values: dict[str, dict[int, float]]
    history: dict[int, list[tuple[int, float, float | None]]]
    pictures: dict[str, Path]
    not_measured: dict[int, str] = field(default_factory=dict)
    metrics_md5: str = ""
    digest: str = ""

    @property
    def data(self) -> str:
        return self.params["cell"]["data"]

    @property
    def params(self) -> dict[str, dict[str, Any]]:
        """What the cell was trained with: ``cell``, ``data``, ``flow`` and ``budget``."""
        return self.training["provenance"]["params"]

    @property
    def versions(self) -> dict[str, str]:
        """Of Python and the libraries that computed the cell."""
        return self.training["provenance"]["versions"]

    @property
    def baseline(self) -> bool:
        return self.training["kind"] == "baseline"

    @property
    def likelihood(self) -> str:
        """What its log p(x) is: ``exact``, ``estimate``, ``bound`` or ``none``."""
        return self.training["likelihood"]

    @property
    def continuous(self) -> bool:
        """Whether a solver of differential equations is part of it."""
        return "solver_tolerance" in self.values

    @property
    def images(self) -> bool:
        """Whether its data is drawn as images."""
        return "samples" in self.pictures

    @property
    def device(self) -> str:
        return self.timings["device"]

    @property
    def hosts(self) -> list[str]:
        """What it was trained on and, if that was another, what it was measured on: device and machine, in words."""
        return list(dict.fromkeys([_host(self.timings), _host(self.measuring)]))

    @property
    def place(self) -> str:
        """The device in a word or two: ``cpu``, or the model of the GPU."""
        return self.device if self.device == "cpu" else self.timings["device_name"]

    @property
    def epochs(self) -> float | None:
        """Passes over the training split by the seeds that finished; ``None`` where they learnt from no data."""
        passes = [outcome.get("epochs") or 0.0 for outcome in self.training["seeds"].values()]
        return max(passes) or None

    @property
    def budget(self) -> str:
        """How long each seed is trained, in words."""
        if self.baseline:
            return "fitted"
        budget = self.params["budget"]
        epochs = f" ({significant(self.epochs, 2)} epochs)" if self.epochs else ""
        return f"{budget['steps']:,} steps of {budget['batch_size']:,} examples{epochs}"

    @property
    def diverged(self) -> dict[int, int]:
        """The step at which each diverged seed was lost."""
        seeds = self.training["seeds"].items()
        return {int(seed): outcome["diverged_at"] for seed, outcome in seeds if outcome["status"] == "diverged"}

    @property
    def failed(self) -> dict[int, str]:
        """Why each failed seed could not be trained."""
        seeds = self.training["seeds"].items()
        return {int(seed): outcome["reason"] for seed, outcome in seeds if outcome["status"] == "failed"}

    @property
    def finished_seeds(self) -> list[int]:
        return [int(seed) for seed, outcome in self.training["seeds"].items() if outcome["status"] == "finished"]

    def by_seed(self, metric: str) -> dict[int, float]:
        """A metric's values by the seeds that finished."""
        lost = self.diverged.keys() | self.failed.keys()
        return {seed: value for seed, value in self.values.get(metric, {}).items() if seed not in lost}

    def finished(self, metric: str) -> list[float]:
        """A metric's values over the seeds that finished."""
        return list(self.by_seed(metric).values())

    def score(self, metric: str) -> dict[int, float]:
        """What comparisons go by, by seed: a metric; of bits per dim what is above the truth on the same examples.

        Where the truth is not on record they stay as they are; the difference of two cells is the same either way
        unless they were measured on different examples.
        """
        true = self.by_seed("true_bits_per_dim") if metric == "bits_per_dim" else {}
        return {seed: value - true.get(seed, 0.0) for seed, value in self.by_seed(metric).items()}

    def estimate(self, metric: str) -> Estimate | None:
        """A metric over the seeds that finished; ``None`` if no seed has it."""
        values = self.finished(metric)
        return estimate(values) if values else None

    @property
    def excess(self) -> Estimate | None:
        """Bits per dim above those of the true density, on the same examples where they are on record."""
        e = self.estimate("bits_per_dim")
        true = self.mean("true_bits_per_dim")
        true = self.mean("entropy_floor_bits_per_dim") if true is None else true
        return Estimate(e.mean - true, e.half, e.n) if e and true is not None else None

    def mean(self, metric: str) -> float | None:
        """The mean of a metric over the seeds that finished."""
        e = self.estimate(metric)
        return e.mean if e else None

    def worst(self, metric: str) -> float | None:
        """The largest value of a metric over the seeds that finished; nothing is worse than what is no number."""
        return max((math.inf if math.isnan(value) else value for value in self.finished(metric)), default=None)


def comparable(cells: Sequence[CellResult], metric: str) -> list[CellResult]:
    """The cells on one data set whose means of a metric are finite, and over the same test examples.

    Those are the most that any cell was measured on. Bits per dim above the truth may be over others. Distances may
    not: they are biased upwards by few examples, whatever is known of the truth, and no more samples are taken.
    """
    measured = [cell for cell in cells if (e := cell.estimate(metric)) and math.isfinite(e.mean)]
    above_truth = metric == "bits_per_dim" and all(cell.by_seed("true_bits_per_dim") for cell in measured)
    if metric not in MOST_EXAMPLES or above_truth:
        return measured
    most = max((examples(cell, metric) for cell in measured), default=0)
    return [cell for cell in measured if examples(cell, metric) == most]


def examples(cell: CellResult, metric: str) -> float:
    """How many test examples, the first of the split, a metric of a cell is over; infinite where it is over all."""
    return min(cell.mean("test_examples") or math.inf, MOST_EXAMPLES.get(metric, math.inf))


def score_differences(cells: Sequence[CellResult], leader: CellResult, metric: str) -> list[Difference]:
    """What sets each of the cells but the leader apart from it in the unit of a metric, paired by seed.

    Where the two were measured on different test examples, the standard errors of both in bits per dim are added. They
    are known only for bits per dim themselves, which vary more from example to example than those above the truth do
    where a flow is near it.
    """

    def noise(i: int, j: int) -> float:
        a, b = cells[i], cells[j]
        if examples(a, metric) == examples(b, metric):
            return 0.0
        return math.hypot(*(cell.mean("bits_per_dim_standard_error") or 0.0 for cell in (a, b)))

    return paired([cell.score(metric) for cell in cells], cells.index(leader), noise)


def load(folder: Path, suite: str, digest: str = "") -> CellResult:
    """Read the files of the cell that ``folder`` is named after, and whose MLflow run has the tag ``digest``."""
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    timings = json.loads((folder / "train_timings.json").read_text(encoding="utf-8"))
    values: dict[str, dict[int, float]] = defaultdict(dict)
    measuring = json.loads((folder / "timings.json").read_text(encoding="utf-8"))
    for timed in (timings, measuring):
        for seed, row in timed["seeds"].items():
            for metric in METRICS.keys() & row.keys():
                values[metric][int(seed)] = row[metric]
    for row in _rows(folder / "seeds.csv"):
        values[row["metric"]][int(row["seed"])] = float(row["value"] or "nan")
    # A lost seed has parameters as well, though nothing was measured of it.
    values["parameters"] = {int(seed): training["parameters"] for seed in training["seeds"]} | values["parameters"]
    not_measured = json.loads((folder / "metrics.json").read_text(encoding="utf-8")).get("not_measured", {})
    history: dict[int, list[tuple[int, float, float | None]]] = defaultdict(list)
    for row in _rows(folder / "history.csv"):
        validation = float(row["validation_loss"]) if row["validation_loss"] else None
        history[int(row["seed"])].append((int(row["step"]), float(row["loss"]), validation))
    return CellResult(
        key=folder.name,
        label=config.label(suite, folder.name, training["provenance"]["params"]["cell"]["data"]),
        training=training,
        timings=timings,
        measuring=measuring,
        values=dict(values),
        history=dict(history),
        pictures={path.stem: path for path in sorted((folder / "pictures").glob("*.png"))},
        not_measured={int(seed): reason for seed, reason in not_measured.items()},
        metrics_md5=md5(folder / "metrics.json"),
        digest=digest,
    )


def _host(timings: dict[str, Any]) -> str:
    device, host = timings["device"], timings["host"]
    device = device if device == "cpu" else f"{device} ({timings['device_name']})"
    return f"{device}: {host['cpu']}, {host['cores']} cores, {host['system']}"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
