"""The evaluation of a whole cell: the files that DVC is told of, and the numbers in them."""

import csv
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch.distributions import Normal

from flowbench.config import ConfigError, Params
from flowbench.evaluation import cell as evaluation_cell
from flowbench.evaluation.cell import CellEvaluation
from flowbench.metrics import METRICS
from flowbench.runtime.seeding import seed_for
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells

KEYS = ["gaussian-affine", "gaussian-gaussian", "two_modes-realnvp", "digits-maf", "digits-flow_autoencoder"]
ALWAYS = {"parameters", "sliced_wasserstein", "energy_distance", "sample_samples_per_second"}
DENSITY = {"nll_nats", "bits_per_dim", "bits_per_dim_standard_error", "log_prob_samples_per_second"}
_OF_MAPS = ("invertibility", "non_finite", "l2_error", "lost_share", "log_prob_error_max", "logdet_error_max")
FLOW = {name for name in METRICS if any(part in name for part in _OF_MAPS)}
FLOW -= {"invertibility_error_max_tightened"}  # of solvers
LEVELS = {"noise_draws", "bits_per_dim_noise_std"}
PLANE = {"density_mass", "outside_share", "entropy_floor_bits_per_dim", "true_bits_per_dim", "wasserstein_2"}
MOMENTS = {name for name in METRICS if name.startswith(("learnt_", "true_"))} - {"true_bits_per_dim"}
APPLICABLE = {
    "gaussian-affine": ALWAYS | DENSITY | FLOW | PLANE | MOMENTS,
    "gaussian-gaussian": ALWAYS | DENSITY | PLANE | MOMENTS,
    "two_modes-realnvp": ALWAYS | DENSITY | FLOW | PLANE | {"kl_to_target", "minor_mode_share"},
    "digits-maf": ALWAYS | DENSITY | FLOW | LEVELS,
    "digits-flow_autoencoder": ALWAYS | FLOW | {"reconstruction_error", "psnr", "latent_bits_per_dim"},
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, Params]:
    """All cells, trained and measured."""
    root = tmp_path_factory.mktemp("tiny")
    params = tiny_cells.prepare(root)
    for key in KEYS:
        CellTraining(params, key, root).run()
        CellEvaluation(params, key, root).run()
    return root, params


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "seeds.csv").read_text(encoding="utf-8").splitlines()))


def declared(stage: str, key: str) -> set[str]:
    """What dvc.yaml says that a stage leaves in the cell's folder."""
    body = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["do"]
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in body.get(kind, [])]
    paths = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    return {path.replace("${key}", key).removeprefix(f"results/{key}/") for path in paths}


@pytest.mark.parametrize("key", KEYS)
def test_the_cells_folder_holds_what_dvc_is_told_of(measured, key):
    folder = measured[0] / "results" / key
    assert {path.name for path in folder.iterdir()} == declared("train", key) | declared("evaluate", key)
    of_images = {"samples.png", "reconstructions.png", "interpolation.png"}
    pictures = {
        "digits-maf": of_images,
        "digits-flow_autoencoder": of_images,
        "two_modes-realnvp": {"density.png", "training.png"},
    }
    assert {path.name for path in (folder / "pictures").iterdir()} == pictures.get(key, {"density.png"})


@pytest.mark.parametrize("key", KEYS)
def test_every_metric_that_applies_is_there_for_every_seed(measured, key):
    folder = measured[0] / "results" / key
    timings = json.loads((folder / "timings.json").read_text(encoding="utf-8"))
    for seed in ("0", "1", "2"):
        steady = [row["metric"] for row in rows(folder) if row["seed"] == seed]
        assert len(steady) == len(set(steady))
        assert not any(METRICS[name].host_dependent for name in steady)
        assert all(METRICS[name].host_dependent for name in timings["seeds"][seed])
        assert set(steady) | set(timings["seeds"][seed]) == APPLICABLE[key]
    assert all(row["unit"] == METRICS[row["metric"]].unit for row in rows(folder))
    assert all(math.isfinite(float(row["value"])) for row in rows(folder))


@pytest.mark.parametrize("key", KEYS)
def test_metrics_are_the_means_over_the_seeds_and_of_errors_the_worst(measured, key):
    folder = measured[0] / "results" / key
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics.pop("status"), metrics.pop("seeds"), metrics.pop("diverged")) == ("finished", 3, 0)
    assert metrics.pop("failed") == 0
    values: dict[str, list[float]] = {}
    for row in rows(folder):
        values.setdefault(row["metric"], []).append(float(row["value"]))
    expected = {name: max(of) if "error_max" in name else sum(of) / len(of) for name, of in values.items()}
    assert metrics == pytest.approx(expected)


def test_measuring_twice_gives_the_same_bytes(measured):
    root, params = measured
    for key in ("two_modes-realnvp", "digits-maf"):
        before = tiny_cells.contents(root / "results" / key)
        CellEvaluation(params, key, root).run()
        after = tiny_cells.contents(root / "results" / key)
        del before["timings.json"], after["timings.json"]
        assert after == before


def test_numbers_are_those_of_the_trained_weights(measured):
    root, params = measured
    evaluation = CellEvaluation(params, "gaussian-affine", root)
    model = evaluation.load(1)
    shift, scale = model.transform.chain[-1].shift.detach(), model.transform.chain[-1].log_scale.detach().exp()
    x = torch.from_numpy(evaluation.test.copy())
    nll = -float(Normal(shift, scale).log_prob(x).sum(1).mean())
    by_name = {row["metric"]: float(row["value"]) for row in rows(evaluation.folder) if row["seed"] == "1"}
    assert by_name["nll_nats"] == pytest.approx(nll, rel=1e-5)
    assert by_name["bits_per_dim"] == pytest.approx(nll / (2 * math.log(2)), rel=1e-5)
    assert by_name["learnt_mean_x1"] == pytest.approx(float(shift[0]), abs=0.02)
    assert by_name["parameters"] == 4
    assert by_name["density_mass"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("lost", [[1], [0, 1, 2]], ids=["one seed", "all seeds"])
def test_diverged_seeds_are_counted(measured, tmp_path, monkeypatch, lost):
    params = measured[1]
    root = shutil.copytree(measured[0], tmp_path / "copy")
    failing = {seed_for("gaussian", "affine", "plane", seed, "validation") for seed in lost}

    class Failing(DataLoss):
        def loss(self, step):
            return super().loss(step) * (math.nan if self.validation_seed in failing else 1)

    monkeypatch.setattr(training_cell, "DataLoss", Failing)
    CellTraining(params, "gaussian-affine", root).run()
    CellEvaluation(params, "gaussian-affine", root).run()
    folder = root / "results" / "gaussian-affine"
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["status"], metrics["seeds"], metrics["diverged"]) == ("diverged", 3, len(lost))
    assert {row["seed"] for row in rows(folder)} == {str(seed) for seed in range(3) if seed not in lost}
    assert ("bits_per_dim" in metrics) == (len(lost) < 3)
    assert {path.name for path in folder.iterdir()} == declared("train", "x") | declared("evaluate", "x")
    assert bool(list((folder / "pictures").iterdir())) == (len(lost) < 3)


def strict_json(path: Path):
    def refuse(constant):
        raise AssertionError(f"{path}: {constant} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_metrics_are_strict_json_even_where_they_are_not_finite(measured, tmp_path, monkeypatch):
    params = measured[1]
    root = shutil.copytree(measured[0], tmp_path / "copy")
    values = {"non_finite_share": math.nan, "logdet_error_max": math.inf}
    monkeypatch.setattr(evaluation_cell, "invertibility", lambda *_: values)
    evaluation = CellEvaluation(params, "gaussian-affine", root)
    evaluation.budget = evaluation.budget.model_copy(update={"logdet_points": 0})
    evaluation.run()
    metrics = strict_json(evaluation.folder / "metrics.json")
    assert {name: metrics[name] for name in values} == {"non_finite_share": "nan", "logdet_error_max": "inf"}
    written = {row["metric"]: row["value"] for row in rows(evaluation.folder)}
    assert {name: written[name] for name in values} == {"non_finite_share": "nan", "logdet_error_max": "inf"}


def test_autograd_may_be_spared(measured, tmp_path):
    params = measured[1]
    root = shutil.copytree(measured[0], tmp_path / "copy")
    evaluation = CellEvaluation(params, "gaussian-affine", root)
    evaluation.budget = evaluation.budget.model_copy(update={"logdet_points": 0})
    evaluation.run()
    metrics = strict_json(evaluation.folder / "metrics.json")
    assert "logdet_error_max" not in metrics
    assert metrics["invertibility_error_max_float64"] < 1e-12


def test_too_little_memory_is_one_line_that_says_what_to_change(measured, monkeypatch):
    root, params = measured

    def exhaust(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB. GPU 0 has …")

    monkeypatch.setattr(evaluation_cell, "likelihood", exhaust)
    before = tiny_cells.contents(root / "results" / "gaussian-affine")
    with pytest.raises(ConfigError, match=r"budgets\.tiny\.evaluate\.batch_size = 4096: .*memory") as error:
        CellEvaluation(params, "gaussian-affine", root).run()
    assert "\n" not in str(error.value)
    assert tiny_cells.contents(root / "results" / "gaussian-affine") == before


def test_float32_is_measured_as_float32(measured):
    torch.backends.cudnn.allow_tf32 = True
    CellEvaluation(measured[1], "gaussian-affine", measured[0])
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_borrowed_machine_needs_neither_dvc_nor_mlflow_nor_what_the_report_draws_with():
    code = """
import sys
sys.modules |= dict.fromkeys(("dvc", "mlflow", "pandas", "matplotlib", "sklearn", "torchvision", "jinja2"))
import flowbench.evaluation.cell
"""
    subprocess.run([sys.executable, "-c", code], check=True)
