"""The evaluation of a whole cell: the files that DVC is told of, and the numbers in them."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from flowbench.config import documents
from flowbench.evaluation import invertibility
from flowbench.evaluation.cell import CellEvaluation
from flowbench.metrics import METRICS, Measured
from flowbench.records.evaluation import Evaluation
from flowbench.records.record import Record
from flowbench.records.training import Training
from flowbench.runtime.seeding import seed_for
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, BASELINE, CONTINUOUS, ENERGY, IMAGES, LABELLED, STUDENT, VECTORS

KEYS = [VECTORS, BASELINE, ENERGY, CONTINUOUS, IMAGES, LABELLED, STUDENT, AUTOENCODER]
ALWAYS = {"parameters", "sliced_wasserstein", "energy_distance", "sample_samples_per_second", "evaluate_seconds"}
DENSITY = {"nll_nats", "bits_per_dim", "bits_per_dim_standard_error", "log_prob_samples_per_second"}
_OF_MAPS = ("invertibility", "non_finite", "l2_error", "lost_share", "log_prob_error_max", "logdet_error_max")
FLOW = {name for name in METRICS if any(part in name for part in _OF_MAPS)}
FLOW -= {"invertibility_error_max_tightened"}  # of solvers
LEVELS = {"noise_draws", "bits_per_dim_noise_std"}
PLANE = {"density_mass", "mass_error", "outside_share", "wasserstein_2"}
TRUTH = {"entropy_floor_bits_per_dim", "true_bits_per_dim"}
MOMENTS = {name for name in METRICS if name.startswith(("learnt_", "true_"))} - TRUTH
SOLVER = {name for name, metric in METRICS.items() if metric.family in ("solver", "few steps")}
SOLVER -= {"probes", "bits_per_dim_probe_std"}
OF_STUDENT = {name for name, metric in METRICS.items() if metric.family == "distillation"}
APPLICABLE = {
    VECTORS: ALWAYS | DENSITY | FLOW | PLANE | TRUTH | MOMENTS,
    BASELINE: ALWAYS | DENSITY | PLANE | TRUTH | MOMENTS,
    ENERGY: ALWAYS | DENSITY | FLOW | PLANE | TRUTH | {"kl_to_target", "minor_mode_share"},
    CONTINUOUS: ALWAYS | DENSITY | FLOW | PLANE | SOLVER,
    IMAGES: ALWAYS | DENSITY | FLOW | LEVELS,
    LABELLED: ALWAYS | DENSITY | FLOW | LEVELS,
    STUDENT: ALWAYS | DENSITY | FLOW | LEVELS | OF_STUDENT,
    AUTOENCODER: ALWAYS | FLOW | {"reconstruction_error", "psnr", "latent_bits_per_dim"},
}


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "seeds.csv").read_text(encoding="utf-8").splitlines()))


def metrics(folder: Path) -> dict:
    def refuse(constant):
        raise AssertionError(f"{folder}: {constant} is no JSON")

    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"), parse_constant=refuse)


def evaluate(root: Path, key: str = VECTORS, **options) -> Path:
    """Measure a cell, with some other options of its budget; its folder."""
    cell = tiny_cells.resolve(root, key)
    CellEvaluation(replace(cell, evaluate=cell.evaluate.model_copy(update=options))).run()
    return cell.folder


def declared(*stages: str) -> set[str]:
    """What dvc.yaml says that some stages leave in the cell's folder."""
    bodies = [documents.read(Path(__file__).parents[2] / "dvc.yaml")["stages"][stage]["do"] for stage in stages]
    entries = [entry for body in bodies for kind in ("outs", "metrics", "plots") for entry in body.get(kind, [])]
    return {Path(entry if isinstance(entry, str) else next(iter(entry))).name for entry in entries}


@pytest.mark.parametrize("key", KEYS)
def test_the_cells_folder_holds_what_dvc_is_told_of(tiny, key):
    folder = tiny.measured(key)
    assert {path.name for path in folder.iterdir()} == declared("train", "evaluate")
    of_images = {"samples", "reconstructions", "interpolation"}
    of_plane = {"density", "training", "training-animation", "warp"}
    of_maps = of_plane | {"layers"}
    pictures = {
        **dict.fromkeys((IMAGES, LABELLED, STUDENT), of_images),
        **dict.fromkeys((VECTORS, ENERGY), of_maps),
        BASELINE: {"density"},
        CONTINUOUS: of_plane | {"transport", "path"},
        AUTOENCODER: of_images | {"latent", "training", "reconstructions-training"},
    }
    assert {path.stem for path in (folder / "pictures").iterdir()} == pictures[key]
    assert all(path.suffix == ".png" for path in (folder / "pictures").iterdir())


@pytest.mark.parametrize("key", KEYS)
def test_every_metric_that_applies_is_there_for_every_seed_and_in_the_catalogue(tiny, key):
    folder = tiny.measured(key)
    evaluation = Evaluation.load(folder)
    for seed in (0, 1):
        steady = [row["metric"] for row in rows(folder) if row["seed"] == str(seed)]
        varying = evaluation.timings.seeds[seed]
        assert steady == [name for name in METRICS if name in steady]  # each once, in the order of the catalogue
        assert not any(METRICS[name].host_dependent for name in steady)
        assert all(METRICS[name].host_dependent for name in varying)
        assert set(steady) | set(varying) == APPLICABLE[key]
        assert all(value > 0 for value, _ in varying.values())
    assert all(row["unit"] == METRICS[row["metric"]].unit for row in rows(folder))
    assert all(int(row["n"]) >= 1 for row in rows(folder))
    assert all(math.isfinite(float(row["value"])) for row in rows(folder))


@pytest.mark.parametrize("key", KEYS)
def test_metrics_are_combined_over_the_seeds_as_the_catalogue_says(tiny, key):
    folder = tiny.measured(key)
    found = metrics(folder)
    facts = {name: found.pop(name) for name in ("status", "seeds", "diverged", "failed")}
    assert facts == {"status": "finished", "seeds": 2, "diverged": 0, "failed": 0}
    values: dict[str, list[float]] = {}
    for row in rows(folder):
        values.setdefault(row["metric"], []).append(float(row["value"]))
    assert found == {name: METRICS[name].combine(of) for name, of in values.items()}
    worst = {"non_finite_share", "invertibility_error_mean", "invertibility_error_p99", "bits_per_dim_solver_error"}
    for name in worst & values.keys():
        assert found[name] == max(values[name])


@pytest.mark.parametrize("key", KEYS)
def test_the_log_likelihood_of_each_example_has_the_mean_of_the_bits_per_dim(tiny, key):
    folder = tiny.measured(key)
    evaluation, cell = Evaluation.load(folder), tiny.cell(key)
    if key == AUTOENCODER:
        assert evaluation.log_prob == {}
        return
    assert evaluation.log_prob.keys() == {0, 1}
    for seed, log_prob in evaluation.log_prob.items():
        assert (log_prob.dtype, log_prob.shape) == (np.float32, (len(cell.splits["test"]),))
        bits = -float(log_prob.mean(dtype=np.float64)) / (cell.source.event.dims * math.log(2))
        assert evaluation.values["bits_per_dim"][seed] == (pytest.approx(bits, rel=1e-6), len(log_prob))


def test_counts_are_of_what_was_measured(tiny):
    values = Record.load(tiny.measured(IMAGES)).values
    n = {name: values[name][0].n for name in ("bits_per_dim", "energy_distance", "noise_draws", "parameters")}
    assert n == {"bits_per_dim": 297, "energy_distance": 200, "noise_draws": 1, "parameters": 1}
    assert values["noise_draws"][0].value == 2
    n = {name: values[name][0].n for name in ("invertibility_error_max", "non_finite_share", "logdet_error_max")}
    assert n == {"invertibility_error_max": 50, "non_finite_share": 150, "logdet_error_max": 2}


def test_numbers_over_other_samples_tell_of_it_by_their_count(tiny, tmp_path):
    folder = evaluate(tiny.copy(tmp_path / "copy", VECTORS), samples=60, test_examples=100)
    found, ordinary = (Record.load(path).values for path in (folder, tiny.measured(VECTORS)))
    n = {name: (found[name][0].n, ordinary[name][0].n) for name in ("energy_distance", "bits_per_dim")}
    assert n == {"energy_distance": (60, 200), "bits_per_dim": (100, 300)}


def test_measuring_twice_gives_the_same_bytes(tiny, tmp_path):
    keys = (ENERGY, STUDENT)
    expected = [tiny_cells.steady(tiny.measured(key)) for key in keys]
    root = tiny.copy(tmp_path / "copy", *keys, IMAGES)
    assert [tiny_cells.steady(evaluate(root, key)) for key in keys] == expected


def test_numbers_are_those_of_the_trained_weights(tiny):
    folder, cell = tiny.measured(VECTORS), tiny.cell(VECTORS)
    layer = cell.trained(Training.load(folder), 1).transform.chain[-1]
    shift, scale = layer.shift.detach(), layer.log_scale.detach().exp()
    x = torch.from_numpy(np.array(cell.splits["test"]))
    nll = -float(Normal(shift, scale).log_prob(x).sum(1).mean())
    values = {name: by_seed[1].value for name, by_seed in Record.load(folder).values.items()}
    assert values["nll_nats"] == pytest.approx(nll, rel=1e-5)
    assert values["bits_per_dim"] == pytest.approx(nll / (2 * math.log(2)), rel=1e-5)
    assert values["learnt_mean_x1"] == pytest.approx(float(shift[0]), abs=0.02)
    assert values["parameters"] == 4
    assert values["density_mass"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("lost", [[1], [0, 1]], ids=["one seed", "all seeds"])
def test_diverged_seeds_are_counted(tiny, tmp_path, monkeypatch, lost):
    root = tiny.copy(tmp_path / "copy")
    failing = {seed_for("gaussian", "affine", "small", seed, "validation") for seed in lost}

    class Failing(DataLoss):
        def loss(self, step):
            return super().loss(step) * (math.nan if self.validation_seed in failing else 1)

    monkeypatch.setattr(training_cell, "DataLoss", Failing)
    CellTraining(tiny_cells.resolve(root, VECTORS)).run()
    folder = evaluate(root)
    found = metrics(folder)
    assert (found["status"], found["seeds"], found["diverged"]) == ("diverged", 2, len(lost))
    assert {row["seed"] for row in rows(folder)} == {str(seed) for seed in (0, 1) if seed not in lost}
    assert ("bits_per_dim" in found) == (len(lost) < 2)
    assert {path.name for path in folder.iterdir()} == declared("train", "evaluate")
    assert bool(list((folder / "pictures").iterdir())) == (len(lost) < 2)
    record = Record.load(folder)
    assert record.finished_values.keys() == (record.values.keys() if len(lost) < 2 else set())


def test_metrics_are_strict_json_even_where_they_are_not_finite(tiny, tmp_path, monkeypatch):
    values = {"non_finite_share": math.nan, "logdet_error_max": math.inf}
    monkeypatch.setattr(invertibility, "invertibility", lambda *_: values)
    folder = evaluate(tiny.copy(tmp_path / "copy", VECTORS), logdet_points=0)
    # What is worst over the seeds is infinite where it is not a number.
    assert {name: metrics(folder)[name] for name in values} == {"non_finite_share": "inf", "logdet_error_max": "inf"}
    written = {row["metric"]: row["value"] for row in rows(folder)}
    assert {name: written[name] for name in values} == {"non_finite_share": "nan", "logdet_error_max": "inf"}
    assert Evaluation.load(folder).values["logdet_error_max"][0] == Measured(math.inf, 50)


def test_autograd_may_be_spared(tiny, tmp_path):
    found = metrics(evaluate(tiny.copy(tmp_path / "copy", VECTORS), logdet_points=0))
    assert "logdet_error_max" not in found
    assert found["invertibility_error_max_float64"] < 1e-12


def test_float32_is_measured_as_float32(tiny):
    torch.backends.cudnn.allow_tf32 = True
    assert tiny.cell(VECTORS).device == torch.device("cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
