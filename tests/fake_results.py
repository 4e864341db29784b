"""Records of cells that nobody trained, made up from the cells' names and written by the records themselves."""

from __future__ import annotations

import hashlib
import math
import random
import shutil
from pathlib import Path
from typing import Any

from flowbench.config import CellConfig, Suite, TrainBudget
from flowbench.metrics import FEW_EVALUATIONS, METRICS, Measured
from flowbench.records.evaluation import Evaluation, Timings
from flowbench.records.files import Host
from flowbench.records.training import HistoryRow, Provenance, SeedTraining, Training, TrainTimings, weights_path

# One white pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000 3a7e9b55"
    "0000000a49444154789c63f80f00010101005ff6e4c0 0000000049454e44ae426082".replace(" ", "")
)
BASELINES = ("gaussian", "gaussian_mixture")
CONTINUOUS = ("cnf", "flow_matching")
FLOOR = {"moons": 0.207, "gaussian": 1.84, "two_modes": 1.1}
PIXELS = {"digits": 64, "mnist": 784, "fashion_mnist": 784, "cifar10": 3072}
HOST = Host(device="cpu", device_name="A processor", host={"cpu": "A processor", "cores": 2, "system": "Linux"})


def suite(cells: dict[str, tuple[str, str]], name: str = "tiny", about: str = "a made-up suite") -> Suite:
    """A suite of cells, each given by its data set and its flow; students learn from ``<data>-maf``."""
    made = {}
    for key, (data, flow) in cells.items():
        teacher = f"{data}-maf" if flow == "iaf_distilled" else None
        learns_from = f"results/{name}/{teacher}/trained" if teacher else f"data/{data}/train.npy"
        options = {"config": "plane", "budget": "tiny", "seeds": [0, 1, 2], "device": "auto"}
        made[key] = CellConfig(data=data, flow=flow, teacher=teacher, learns_from=learns_from, **options)
    return Suite(name=name, about=about, cells=made)


def write(results: Path, of: Suite, *, seeds: int = 3, rows: int = 30, **by_cell: dict[str, Any]) -> None:
    """Write ``results/<cell>/`` of every cell; ``by_cell`` holds arguments of `write_cell`, each by the cell's key."""
    for key in of.cells:
        options = {name: values[key] for name, values in by_cell.items() if key in values}
        write_cell(results / key, of, key, seeds=seeds, rows=rows, **options)


def write_cell(
    folder: Path,
    of: Suite,
    key: str,
    *,
    seeds: int = 3,
    rows: int = 30,
    diverged: tuple[int, ...] = (),
    failed: dict[int, str] | None = None,
    not_measured: dict[int, str] | None = None,
    flow: dict | None = None,
    budget: dict | None = None,
    examples: int = 20_000,
    values: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    measured_on: Host = HOST,
) -> None:
    """Write the files of one cell; the same at each call.

    Args:
        rows: of each training's history.
        diverged: seeds; ``failed`` and ``not_measured`` are reasons by seed.
        flow, budget: options.
        examples: of the test split, which has 20,000.
        values: by metric one for all seeds, one for each, or ``None`` for a metric that is not measured.
        training: fields of the `Training`, and ``timings``, that are others.
        measured_on: the host of the evaluation.
    """
    rng, cell = random.Random(key), of.cells[key].model_copy(update={"seeds": list(range(seeds))})
    flow = {"layers": 8, "hidden": [64, 64]} if flow is None else flow
    of_budget = TrainBudget(steps=10 * rows, batch_size=512).model_dump() | (budget or {})
    trained, timings, history = _training(of.name, key, cell, rng, rows, tuple(diverged), failed or {}, flow, of_budget)
    others = dict(training or {})
    timings = others.pop("timings", timings)
    trained = trained.model_copy(update=others)
    measured: dict[str, dict[int, Measured]] = {}
    timed: dict[int, dict[str, Measured]] = {}
    for i, seed in enumerate(trained.finished):
        found = _values(cell, flow, rng)
        for name, value in (values or {}).items():
            found[name] = value[i] if isinstance(value, list | tuple) else value
        for name, value in found.items():
            if value is None:
                continue
            one = Measured(float(value), min(examples, 5000) if "distance" in name or "wasser" in name else examples)
            if METRICS[name].host_dependent:
                timed.setdefault(seed, {})[name] = Measured(one.value, 1)
            else:
                measured.setdefault(name, {})[seed] = one
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pictures").mkdir(parents=True)
    (folder / "trained").mkdir()
    for seed in trained.finished:
        weights_path(folder, seed).write_bytes(b"weights")
    images = ["samples"] + ["reconstructions", "interpolation"] * (cell.flow not in BASELINES)
    for name in (images if cell.data in PIXELS else ["density"]) if trained.finished else []:
        (folder / "pictures" / f"{name}.png").write_bytes(PIXEL)
    trained.save(folder, timings, history)
    Evaluation(measured, Timings(host=measured_on, git_commit=40 * "b", seeds=timed), not_measured or {}, {}).save(
        folder, trained
    )


def _training(suite, key, cell, rng, rows, diverged, failed, flow, budget):
    baseline = cell.flow in BASELINES
    nats = PIXELS.get(cell.data, 2) * math.log(2)
    no_data = baseline or cell.data == "two_modes"
    epochs = None if no_data else budget["steps"] * budget["batch_size"] / 50_000
    outcomes, history, timings = {}, {}, {}
    for seed in cell.seeds:
        half = 10 * (rows // 2)
        outcome = {"status": "finished", "steps": 10 * rows, "epochs": epochs, "best_step": 10 * rows}
        if seed in diverged:
            outcome |= {"status": "diverged", "steps": half, "best_step": 0, "diverged_at": half}
        if seed in failed:
            outcome |= {"status": "failed", "steps": half, "best_step": 0, "reason": failed[seed]}
        outcomes[seed] = SeedTraining(best_validation_loss=None, **outcome)
        history[seed] = []
        for row in range(0 if baseline else outcome["steps"] // 10):
            loss = nats * (0.4 + 2 * math.exp(-8 * row / rows) + rng.gauss(0, 0.01))
            last = seed in diverged and row == rows // 2 - 1
            history[seed].append(
                HistoryRow(10 * (row + 1), math.nan if last else loss, loss + 0.01 if row % 5 == 4 else None, 0.001)
            )
        timings[seed] = {"started": 1.7e9, "ended": 1.7e9 + 60, "train_seconds": rng.uniform(20, 80)}
        timings[seed] |= {"peak_memory_mb": rng.uniform(350, 400), "train_samples_per_second": rng.uniform(1e4, 2e5)}
    splits = {f: hashlib.sha256(f"{cell.data} {f}".encode()).hexdigest() for f in ("train", "validation", "test")}
    params = {"cell": cell.model_dump(), "data": {"train": 50_000, "test": 20_000}, "flow": flow, "budget": budget}
    versions = {"python": "3.12.1", "torch": "2.9.0"}
    trained = Training(
        suite=suite,
        cell=key,
        kind="baseline" if baseline else "flow",
        likelihood="none" if cell.flow == "flow_autoencoder" else "estimate" if flow.get("probes") else "exact",
        loss_unit={
            "flow_matching": "squared error of velocities",
            "flow_autoencoder": "nats of images and codes",
            "iaf_distilled": "nats of KL to the teacher",
        }.get(cell.flow, "nats"),
        parameters=rng.randrange(1000, 90_000),
        seeds=outcomes,
        provenance=Provenance(data=splits, params=params, code={}, versions=versions),
    )
    return trained, TrainTimings(host=HOST, git_commit=40 * "a", started=1.7e9, seeds=timings), history


def _values(cell: CellConfig, flow: dict, rng: random.Random) -> dict[str, float | None]:
    """What is measured of one seed."""
    gap = 0.4 if cell.flow == "gaussian" else random.Random(cell.flow).uniform(0.01, 0.12)
    bits = FLOOR.get(cell.data, 2.1) + gap * rng.uniform(0.95, 1.05)
    values: dict[str, float | None] = {
        "log_prob_samples_per_second": 10 ** rng.uniform(4, 6.5),
        "sample_samples_per_second": 10 ** rng.uniform(4, 6.5),
    }
    if cell.flow != "flow_autoencoder":
        values |= {"bits_per_dim": bits, "nll_nats": bits * PIXELS.get(cell.data, 2) * math.log(2)}
    if cell.flow not in BASELINES:
        for name, (low, high) in {"": (-6, -4), "_float64": (-15, -12)}.items():
            values[f"invertibility_error_max{name}"] = 10 ** rng.uniform(low, high)
            values[f"latent_invertibility_error_max{name}"] = 10 ** rng.uniform(low, high)
            if cell.data in PIXELS:
                values |= {f"invertibility_error_max_noise{name}": 10 ** (low + 1), f"non_finite_share{name}": 0.0}
        values |= {"invertibility_error_mean": 1e-8, "logdet_error_max": 1e-14}
    if cell.data in PIXELS:
        values |= {"bits_per_dim_standard_error": rng.uniform(0.001, 0.004), "bits_per_dim_noise_std": 2e-4}
        values |= {"noise_draws": 10, "sliced_wasserstein": rng.uniform(0.5, 0.6)}
        values |= {"energy_distance": rng.uniform(0.5, 0.6)}
    if cell.data in FLOOR:
        values |= {"entropy_floor_bits_per_dim": FLOOR[cell.data], "energy_distance": rng.uniform(1e-4, 4e-4)}
        values |= {"sliced_wasserstein": rng.uniform(0.01, 0.03)}
    if cell.data == "two_modes":
        values |= {"kl_to_target": rng.uniform(0.1, 0.3), "minor_mode_share": rng.uniform(0.48, 0.5)}
    if cell.data == "gaussian":
        for i, (mean, std) in enumerate([(2.0, 0.5), (-1.0, 1.5)], start=1):
            values |= {f"true_mean_x{i}": mean, f"learnt_mean_x{i}": mean + rng.gauss(0, 0.003)}
            values |= {f"true_std_x{i}": std, f"learnt_std_x{i}": std + rng.gauss(0, 0.003)}
        values |= {"learnt_mean_error": 0.004, "learnt_std_error": 0.006}
    if cell.flow in CONTINUOUS:
        error = 10 ** rng.uniform(-5, -4)
        values |= {f"energy_distance_euler_{n}": 1 / n for n in FEW_EVALUATIONS}
        values |= {f"energy_distance_midpoint_{n}": 1 / n**2 for n in FEW_EVALUATIONS}
        values |= {"energy_distance_adaptive": 1e-4, "energy_distance_data": 2e-4, "solver_tolerance": 1e-5}
        values |= {"log_prob_evaluations": 62, "sample_evaluations": 50, "bits_per_dim_solver_error": 1e-5}
        values |= {"invertibility_error_max_float64": error, "invertibility_error_max_tightened": error / 10}
        values |= {"logdet_error_max": error, "path_energy": 2.0, "normalised_path_energy": rng.uniform(0.01, 0.03)}
        values |= {"probes": flow["probes"], "bits_per_dim_probe_std": 0.02} if flow.get("probes") else {}
    if cell.flow == "flow_autoencoder":
        values |= {"reconstruction_error": 0.01, "psnr": 20.0, "latent_bits_per_dim": rng.uniform(1.8, 1.9)}
    if cell.teacher:
        values |= {"teacher_bits_per_dim": 2.1, "kl_to_teacher": rng.uniform(0.1, 0.2)}
        values |= {"kl_to_teacher_standard_error": 0.003}
        values |= {"distillation_speedup": 2.5, "distillation_speedup_naive": 64.0}
    return values
