"""A cell on disk as training and evaluation leave it: made-up numbers, written by the records themselves."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from flowbench.metrics import Measured
from flowbench.records.evaluation import Evaluation, Timings
from flowbench.records.files import PICTURES, TRAINED, Host
from flowbench.records.training import HistoryRow, Provenance, SeedTraining, Training, TrainTimings

SEEDS = (0, 1, 2)
HOST = Host(device="cpu", device_name="A processor", host={"cpu": "A processor", "cores": 2, "system": "Linux"})
VALUES = {"bits_per_dim": 0.25, "nll_nats": 0.35, "invertibility_error_max": 1e-7, "logdet_error_max": 1e-13}
COSTS = {"log_prob_samples_per_second": 1e5, "sample_samples_per_second": 2e5}


def write(
    folder: Path,
    *,
    data: str = "moons",
    flow: str = "nice",
    options: dict[str, Any] | None = None,
    rows: int = 30,
    values: dict[str, float] | None = None,
    pictures: tuple[str, ...] = ("density",),
    not_measured: dict[int, str] | None = None,
    lost: dict[int, Literal["diverged", "failed"]] | None = None,
) -> None:
    """Write ``results/<suite>/<cell>`` with three seeds; what was there is replaced.

    Args:
        options: of the flow.
        rows: of history, for each seed.
        values: by metric, of each seed; each further seed has one percent more.
        not_measured: why seeds were measured in part.
        lost: what became of the seeds that did not finish.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in (TRAINED, PICTURES):
        (folder / name).mkdir(parents=True)
    for seed in SEEDS:
        (folder / TRAINED / f"seed-{seed}.safetensors").write_bytes(b"weights of seed %d" % seed)
    for name in pictures:
        (folder / PICTURES / f"{name}.png").write_bytes(b"a picture")
    measured = {
        name: {seed: Measured(value * (1 + seed / 100), 300) for seed in SEEDS}
        for name, value in (VALUES | (values or {})).items()
    }
    training = Training(
        suite=folder.parent.name,
        cell=folder.name,
        kind="baseline" if flow == "gaussian" else "flow",
        likelihood="exact",
        loss_unit="nats",
        parameters=1000,
        seeds={
            seed: SeedTraining(
                status=(lost or {}).get(seed, "finished"),
                steps=10 * rows,
                epochs=2.5,
                best_step=10 * rows,
                best_validation_loss=0.3,
            )
            for seed in SEEDS
        },
        provenance=Provenance(
            data={split: hashlib.sha256(f"{data} {split}".encode()).hexdigest() for split in ("train", "test")},
            params={
                "cell": {"data": data, "flow": flow, "config": "plane", "budget": "tiny", "seeds": list(SEEDS)},
                "data": {"train": 500},
                "flow": {"layers": 8, "hidden": [64, 64]} if options is None else options,
                "budget": {"steps": 10 * rows},
            },
            code={},
            versions={"python": "3.12.1", "torch": "2.9.0"},
        ),
    )
    timings = TrainTimings(
        host=HOST,
        git_commit=40 * "a",
        started=1.7e9,
        seeds={
            seed: {"started": 1.7e9, "ended": 1.7e9 + 60, "train_seconds": 50.0, "peak_memory_mb": 350.0}
            for seed in SEEDS
        },
    )
    history = {
        seed: [
            HistoryRow(10 * (row + 1), 2.0 - row / rows, 2.1 - row / rows if row % 5 == 4 else None, 0.001)
            for row in range(rows)
        ]
        for seed in SEEDS
    }
    training.save(folder, timings, history)
    Evaluation(
        values=measured,
        timings=Timings(
            host=HOST,
            git_commit=40 * "b",
            seeds={s: {name: Measured(v, 1) for name, v in COSTS.items()} for s in SEEDS},
        ),
        not_measured=not_measured or {},
        log_prob={seed: np.linspace(-3, 0, 300, dtype=np.float32) for seed in SEEDS},
    ).save(folder, training)
