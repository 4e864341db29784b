"""Result files as training and evaluation leave them, made up from the cells' names."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from pathlib import Path

from flowbench.config import TEACHERS, Cell, Student, Suite
from flowbench.metrics import FEW_EVALUATIONS

# One white pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000 3a7e9b55"
    "0000000a49444154789c63f80f00010101005ff6e4c0 0000000049454e44ae426082".replace(" ", "")
)
BASELINES = ("gaussian", "gaussian_mixture")
CONTINUOUS = ("cnf", "flow_matching")
FLOOR = {"moons": 0.207, "gaussian": 1.84, "two_modes": 1.1}
PIXELS = {"digits": 64, "mnist": 784, "fashion_mnist": 784, "cifar10": 3072}


def suite(cells: dict[str, tuple[str, str]], name: str = "tiny") -> Suite:
    """A suite of cells, each given by its data set and its flow; students learn from ``<data>-<flow of a teacher>``."""
    made: dict[str, Cell] = {}
    students: dict[str, Student] = {}
    for key, (data, flow) in cells.items():
        options = {"data": data, "flow": flow, "config": "plane", "budget": "tiny"}
        if flow in TEACHERS:
            students[key] = Student(**options, teacher=f"{data}-{TEACHERS[flow]}")
        else:
            made[key] = Cell(**options)
    sets = sorted({data for data, _ in cells.values()})
    return Suite(name=name, about="a made-up suite", data=sets, cells=made, students=students)


def write(
    results: Path,
    of: Suite,
    *,
    seeds: int = 3,
    rows: int = 30,
    diverged: dict[str, list[int]] | None = None,
    failed: dict[str, dict[int, str]] | None = None,
    not_measured: dict[str, dict[int, str]] | None = None,
    flow: dict[str, dict] | None = None,
    budget: dict[str, dict] | None = None,
) -> None:
    """Write ``results/<cell>/`` of every cell, each training with ``rows`` rows of history.

    ``diverged`` lists seeds, ``failed`` and ``not_measured`` have their reasons, ``flow`` and ``budget`` hold options,
    all by cell.
    """
    for key, cell in of.all_cells.items():
        write_cell(
            results / key,
            cell,
            seeds=seeds,
            rows=rows,
            diverged=(diverged or {}).get(key, []),
            failed=(failed or {}).get(key, {}),
            not_measured=(not_measured or {}).get(key, {}),
            flow=(flow or {}).get(key, {"layers": 8, "hidden": [64, 64]}),
            budget={"steps": 10 * rows, "batch_size": 512, "seeds": list(range(seeds))} | (budget or {}).get(key, {}),
        )


def write_cell(
    folder: Path,
    cell: Cell,
    *,
    seeds: int,
    rows: int,
    diverged: list[int],
    failed: dict[int, str],
    not_measured: dict[int, str],
    flow: dict,
    budget: dict,
) -> None:
    """Write the files of one cell; the same at each call."""
    key, rng = folder.name, random.Random(folder.name)
    baseline = cell.flow in BASELINES
    gap = 0.4 if cell.flow == "gaussian" else rng.uniform(0.01, 0.12)
    nats = PIXELS.get(cell.data, 2) * math.log(2)
    history, measured, train_timings, timings = [], [], {}, {}
    for seed in range(seeds):
        lost = seed in diverged or seed in failed
        for row in range(0 if baseline else rows // 2 if lost else rows):
            step = 10 * (row + 1)
            loss = (
                math.nan
                if seed in diverged and row == rows // 2 - 1
                else nats * (0.3 + gap + 2 * math.exp(-8 * row / rows) + rng.gauss(0, 0.01))
            )
            history.append([seed, step, repr(loss), repr(loss + 0.01) if row % 5 == 4 else "", "0.001"])
        train_timings[str(seed)] = {
            "started": 1.7e9 + 100 * seed,
            "ended": 1.7e9 + 100 * seed + 60,
            "train_seconds": rng.uniform(20, 80),
            "peak_memory_mb": rng.uniform(350, 400),
        } | ({} if baseline else {"train_samples_per_second": rng.uniform(1e4, 2e5)})
        if lost:
            continue
        timings[str(seed)] = {
            "log_prob_samples_per_second": 10 ** rng.uniform(4, 6.5),
            "sample_samples_per_second": 10 ** rng.uniform(4, 6.5),
        }
        bits = FLOOR.get(cell.data, 2.1) + gap * rng.uniform(0.95, 1.05)
        values = {
            "bits_per_dim": bits,
            "nll_nats": bits * nats,
        }
        if not baseline:
            values |= {
                "invertibility_error_max": 10 ** rng.uniform(-6, -4),
                "invertibility_error_mean": 10 ** rng.uniform(-8, -7),
                "invertibility_error_max_float64": 10 ** rng.uniform(-15, -12),
                "latent_invertibility_error_max": 10 ** rng.uniform(-6, -4),
                "latent_invertibility_error_max_float64": 10 ** rng.uniform(-15, -12),
                "logdet_error_max": 10 ** rng.uniform(-15, -13),
            }
        if cell.data in PIXELS:
            values |= {
                "bits_per_dim_standard_error": rng.uniform(0.001, 0.004),
                "bits_per_dim_noise_std": 2e-4,
                "noise_draws": 10,
                "sliced_wasserstein": rng.uniform(0.5, 0.6),
                "energy_distance": rng.uniform(0.5, 0.6),
            }
        if cell.data in PIXELS and not baseline:
            values |= {
                "invertibility_error_max_noise": 10 ** rng.uniform(-6, -2),
                "invertibility_error_max_noise_float64": 10 ** rng.uniform(-15, -11),
                "non_finite_share": 0.0,
                "non_finite_share_float64": 0.0,
            }
        if cell.data in FLOOR:
            values |= {"entropy_floor_bits_per_dim": FLOOR[cell.data]}
            values |= {"sliced_wasserstein": rng.uniform(0.01, 0.03), "energy_distance": rng.uniform(1e-4, 4e-4)}
        if cell.data == "two_modes":
            values |= {"kl_to_target": rng.uniform(0.1, 0.3), "minor_mode_share": rng.uniform(0.48, 0.5)}
        if cell.data == "gaussian":
            for i, (mean, std) in enumerate([(2.0, 0.5), (-1.0, 1.5)], start=1):
                values |= {f"true_mean_x{i}": mean, f"learnt_mean_x{i}": mean + rng.gauss(0, 0.003)}
                values |= {f"true_std_x{i}": std, f"learnt_std_x{i}": std + rng.gauss(0, 0.003)}
            values |= {"learnt_mean_error": 0.004, "learnt_std_error": 0.006}
        values |= _of_family(cell, flow, rng)
        if cell.flow == "flow_autoencoder":
            del values["bits_per_dim"], values["nll_nats"]
        if cell.flow in TEACHERS:
            timings[str(seed)] |= {"distillation_speedup": 2.5, "distillation_speedup_naive": 64.0}
        measured += [[seed, name, repr(value), ""] for name, value in values.items()]

    outcomes = {
        str(seed): {
            "status": "finished",
            "epochs": None if baseline or cell.data == "two_modes" else budget["steps"] * budget["batch_size"] / 50_000,
            "best_step": 10 * rows,
            "best_validation_loss": 0.3 + gap,
            "diverged_at": None,
        }
        if seed not in diverged
        else {"status": "diverged", "best_step": 0, "best_validation_loss": math.inf, "diverged_at": 10 * (rows // 2)}
        for seed in range(seeds)
    }
    for seed, reason in failed.items():
        outcomes[str(seed)] |= {"status": "failed", "steps": 10 * (rows // 2), "reason": reason}
    likelihood = "estimate" if flow.get("probes") else "exact"
    if cell.flow == "flow_autoencoder":
        likelihood = "none"
    training = {
        "cell": key,
        "kind": "baseline" if baseline else "flow",
        "likelihood": likelihood,
        "parameters": rng.randrange(1000, 90_000),
        "seeds": outcomes,
        "provenance": {
            "data": {
                split: hashlib.sha256(f"{cell.data} {split}".encode()).hexdigest()
                for split in ("train", "validation", "test")
            },
            "code": {},
            "params": {
                "cell": cell.model_dump(),
                "data": {"train": 50_000},
                "flow": flow,
                "budget": budget,
            },
            "versions": {"python": "3.12.1", "torch": "2.9.0"},
        },
    }
    host = {"cpu": "A processor", "cores": 2, "system": "Linux"}
    lost = len(diverged) + len(failed)
    status = {"status": "diverged" if diverged else "failed" if failed else "finished"}
    if not_measured:
        status = {"status": "measured in part", "not_measured": not_measured}
    means: dict[str, list[float]] = {}
    for _, name, value, _ in measured:
        means.setdefault(name, []).append(float(value))
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    names = ["samples"] + ["reconstructions", "interpolation"] * (not baseline) if cell.data in PIXELS else ["density"]
    for name in names if lost < seeds else []:
        (folder / "pictures" / f"{name}.png").write_bytes(PIXEL)
    (folder / "trained").mkdir(exist_ok=True)
    (folder / "trained" / "seed-0.safetensors").write_bytes(b"weights")
    _json(folder / "training.json", training)
    place = {"device": "cpu", "device_name": "A processor", "host": host}
    _json(folder / "train_timings.json", {**place, "git_commit": 40 * "a", "seeds": train_timings})
    _json(folder / "timings.json", {**place, "seeds": timings})
    _json(
        folder / "metrics.json",
        status
        | {"seeds": seeds, "diverged": len(diverged), "failed": len(failed)}
        | {name: sum(v) / len(v) for name, v in means.items()},
    )
    _csv(folder / "history.csv", ["seed", "step", "loss", "validation_loss", "learning_rate"], history)
    _csv(folder / "seeds.csv", ["seed", "metric", "value", "unit"], measured)


def _of_family(cell: Cell, flow: dict, rng: random.Random) -> dict[str, float]:
    """What is measured of some flows only."""
    if cell.flow in CONTINUOUS:
        error = 10 ** rng.uniform(-5, -4)
        few = {f"energy_distance_{name}_{n}": 1 / n**order for n in FEW_EVALUATIONS
               for name, order in (("euler", 1), ("midpoint", 2))}  # fmt: skip
        return (
            few
            | {
                "energy_distance_adaptive": 1e-4,
                "energy_distance_data": 2e-4,
                "solver_tolerance": 1e-5,
                "log_prob_evaluations": 62,
                "sample_evaluations": 50,
                "bits_per_dim_solver_error": 1e-5,
                "invertibility_error_max_float64": error,
                "invertibility_error_max_tightened": error / 10,
                "logdet_error_max": error,
                "path_energy": rng.uniform(1.9, 2.1),
                "normalised_path_energy": rng.uniform(0.01, 0.03),
            }
            | ({"probes": flow["probes"], "bits_per_dim_probe_std": 0.02} if flow.get("probes") else {})
        )
    if cell.flow == "flow_autoencoder":
        return {"reconstruction_error": 0.01, "psnr": 20.0, "latent_bits_per_dim": rng.uniform(1.8, 1.9)}
    if cell.flow in TEACHERS:
        return {
            "teacher_bits_per_dim": 2.1,
            "kl_to_teacher": rng.uniform(0.1, 0.2),
            "kl_to_teacher_standard_error": 0.003,
        }
    return {}


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")


def _csv(path: Path, columns: list[str], rows: list[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
