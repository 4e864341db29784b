"""The evaluation of a whole cell: every metric that applies, for every seed that was trained to the end."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from flowbench.cell import Cell
from flowbench.evaluation import (
    autoencoder,
    consistency,
    distillation,
    fixed_point,
    images,
    invertibility,
    layers,
    likelihood,
    logdet,
    moments,
    paths,
    plane,
    solver,
    speed,
    stress,
    tables,
    transport,
    two_sample,
)
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import CONTRIBUTED, METRICS, Measured
from flowbench.records import files
from flowbench.records.commit import current_commit
from flowbench.records.evaluation import Evaluation, Timings
from flowbench.records.training import Training
from flowbench.runtime import device as devices
from flowbench.runtime.files import whole
from flowbench.runtime.processes import for_each_seed

# In this order: a family may look at what those before it have found.
FAMILIES = [
    family
    for module in (
        autoencoder,
        likelihood,
        invertibility,
        fixed_point,
        stress,
        consistency,
        logdet,
        solver,
        transport,
        two_sample,
        plane,
        moments,
        distillation,
        speed,
    )
    for family in module.FAMILIES
] + [
    Family(module.__name__, getattr(module, "applies", lambda subject: True), module.measure) for module in CONTRIBUTED
]
PICTURES = [pictures for module in (autoencoder, plane, layers, paths, images, tables) for pictures in module.PICTURES]


class _Measured(NamedTuple):
    """What one seed came to, and why the rest could not be measured."""

    values: dict[str, Measured]
    missing: str
    log_prob: np.ndarray | None


class CellEvaluation:
    """Measures a trained cell and writes the record of it.

    Args:
        cell: resolved.
    """

    def __init__(self, cell: Cell):
        self.cell = cell
        self.training = Training.load(cell.folder)

    def run(self) -> None:
        """Measure all seeds; write the cell's folder whole, or not at all.

        Raises:
            ConfigError: the device has too little memory for the budget's batch size.
        """
        cell = self.cell
        finished = sorted(self.training.finished)
        with whole(cell.folder) as folder:
            (folder / files.PICTURES).mkdir()
            try:
                seeds = for_each_seed(
                    lambda seed: self._evaluate_seed(seed, folder / files.PICTURES if seed == finished[0] else None),
                    finished,
                    cell.device,
                    cell.train.threads,
                )
            except Exception as error:
                if not devices.is_out_of_memory(error):
                    raise
                raise cell.too_large("evaluate") from None
            self._record(seeds).save(folder, self.training)

    def _evaluate_seed(self, seed: int, pictures: Path | None) -> _Measured:
        cell, begin = self.cell, devices.clock(self.cell.device)
        split = torch.from_numpy(np.array(cell.splits["test"])).to(cell.device)
        subject = Subject(cell, self.training, seed, cell.trained(self.training, seed), split)
        subject.values["parameters"] = Measured(subject.model.parameter_count(), 1)
        subject.measure(FAMILIES)
        if pictures and cell.evaluate.pictures:
            subject.draw(PICTURES, pictures)
        subject.values["evaluate_seconds"] = Measured(devices.clock(cell.device) - begin, 1)
        if subject.missing:
            tqdm.write(f"{cell.key} seed {seed}: measured in part; {subject.missing}", file=sys.stderr)
        return _Measured(subject.values, subject.missing, subject.log_prob)

    def _record(self, seeds: dict[int, _Measured]) -> Evaluation:
        """Numbers that depend on the weights alone apart from those that depend on the host."""
        steady: dict[str, dict[int, Measured]] = defaultdict(dict)
        varying: dict[int, dict[str, Measured]] = {seed: {} for seed in seeds}
        for seed, measured in seeds.items():
            for name, value in measured.values.items():
                if METRICS[name].host_dependent:
                    varying[seed][name] = value
                else:
                    steady[name][seed] = value
        return Evaluation(
            values=dict(steady),
            timings=Timings(
                host=files.Host(**devices.describe(self.cell.device)),
                git_commit=current_commit(self.cell.root),
                seeds=varying,
            ),
            not_measured={seed: measured.missing for seed, measured in seeds.items() if measured.missing},
            log_prob={seed: m.log_prob.astype(np.float32) for seed, m in seeds.items() if m.log_prob is not None},
        )
