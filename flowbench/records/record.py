"""The typed record of a cell: its training and its evaluation, each with one load and one save.

A cell's folder is ``results/<suite>/<cell>``:

===================================  ==================================================================================
``trained/training.json``            what was trained, what became of each seed, and what the result depends on
``trained/seed-<seed>.safetensors``  weights of each seed that finished
``trained/snapshots.npz``            the first seed's densities or reconstructions while training: ``frames``, ``steps``
``history.csv``                      losses while training, by seed and step
``train_timings.json``               what depends on the host: device, commit, seconds, memory
``metrics.json``                     each metric combined over the seeds, and what could not be measured
``seeds.csv``                        each metric of each seed, with its unit and its number of examples
``log_prob/seed-<seed>.npy``         log-likelihood of each test example in nats, ``(n,)`` float32
``timings.json``                     what depends on the host: device and throughputs
``pictures/<name>.png``              of the first seed that finished; ``transport`` and what is seen while training move
===================================  ==================================================================================
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flowbench.metrics import METRICS, Measured
from flowbench.records.evaluation import Evaluation
from flowbench.records.files import (
    HISTORY,
    METRICS_FILE,
    PICTURES,
    SEEDS_FILE,
    TIMINGS,
    TRAIN_TIMINGS,
    TRAINED,
    TRAINING,
    refused,
)
from flowbench.records.training import Training


@dataclass(frozen=True)
class Record:
    """All that a cell left on disk."""

    training: Training
    evaluation: Evaluation
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a cell's folder; a `RecordError` says what is wrong with which file."""
        training = Training.load(folder)
        _ = training.timings, training.history  # read now, so that damage is found here
        return cls(training, Evaluation.load(folder), folder)

    @property
    def values(self) -> dict[str, dict[int, Measured]]:
        """Every metric by name and seed, with those that depend on the host."""
        values = dict(self.evaluation.values)
        # A lost seed has parameters as well, though nothing was measured of it.
        values["parameters"] = {seed: Measured(self.training.parameters, 1) for seed in self.training.seeds}
        for seed, row in self.training.timings.seeds.items():
            for name in METRICS.keys() & row.keys():
                values.setdefault(name, {})[seed] = Measured(row[name], 1)
        for seed, timed in self.evaluation.timings.seeds.items():
            for name, value in timed.items():
                values.setdefault(name, {})[seed] = value
        return {name: dict(sorted(values[name].items())) for name in METRICS if name in values}

    @property
    def finished_values(self) -> dict[str, dict[int, Measured]]:
        """`values` of the seeds that were trained to the end, which the cell is judged by."""
        finished = set(self.training.finished)
        values = {
            name: {seed: measured for seed, measured in by_seed.items() if seed in finished}
            for name, by_seed in self.values.items()
        }
        return {name: by_seed for name, by_seed in values.items() if by_seed}

    @property
    def pictures(self) -> dict[str, Path]:
        """Pictures by name, such as ``density``."""
        return {path.stem: path for path in sorted((self.folder / PICTURES).glob("*.png"))}


def files(folder: Path) -> list[Path]:
    """All files of a cell except weights, snapshots and what a killed stage left unfinished."""
    for name in (f"{TRAINED}/{TRAINING}", HISTORY, TRAIN_TIMINGS, METRICS_FILE, SEEDS_FILE, TIMINGS):
        if not (folder / name).is_file():
            raise refused(folder / name, folder, "is missing")
    found = [folder / TRAINED / TRAINING]
    for top in folder.iterdir():
        if top.name != TRAINED and not top.name.startswith("."):
            found += [path for path in (top, *top.rglob("*")) if path.is_file()]
    return sorted(found)


def digest(folder: Path) -> str:
    """SHA-256 of the names and contents of `files`."""
    total = hashlib.sha256()
    for path in files(folder):
        total.update(f"{path.relative_to(folder)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
