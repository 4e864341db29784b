"""What the smoke suite leaves behind when it has run from beginning to end."""

import json
import math
import resource
from collections import defaultdict

import pytest
import yaml

from flowbench import flows
from flowbench.metrics import METRICS

EVERYWHERE = {
    "bits_per_dim",
    "nll_nats",
    "sliced_wasserstein",
    "energy_distance",
    "parameters",
    "train_seconds",
    "log_prob_samples_per_second",
    "sample_samples_per_second",
    "peak_memory_mb",
}
# A baseline has no map to invert and takes no steps.
FLOWS_ONLY = {
    "invertibility_error_max",
    "invertibility_error_mean",
    "invertibility_error_max_float64",
    "latent_invertibility_error_max",
    "logdet_error_max",
    "train_samples_per_second",
}
BASELINES = {"gaussian", "gaussian_mixture"}
KNOWN_DENSITY = {"gaussian", "moons", "two_modes"}
ENERGIES = {"two_modes"}
CONTINUOUS = {"cnf", "flow_matching"}
CONTINUOUS_ONLY = {"solver_tolerance", "bits_per_dim_solver_error", "normalised_path_energy", "energy_distance_euler_2"}
AUTOENCODERS = {"flow_autoencoder"}
AUTOENCODERS_ONLY = {"reconstruction_error", "psnr", "latent_bits_per_dim"}
DENSITIES_ONLY = {"bits_per_dim", "nll_nats", "log_prob_samples_per_second"}
# What they descend is no -log p of data, and has a figure of its own.
OTHER_LOSSES = {"flow_matching", "flow_autoencoder", "iaf_distilled"}
STUDENTS_ONLY = {"teacher_bits_per_dim", "kl_to_teacher", "distillation_speedup", "distillation_speedup_naive"}
NAMED = (
    EVERYWHERE
    | FLOWS_ONLY
    | STUDENTS_ONLY
    | CONTINUOUS_ONLY
    | AUTOENCODERS_ONLY
    | {"entropy_floor_bits_per_dim", "true_bits_per_dim", "kl_to_target"}
)


def applicable(cell):
    """The named metrics that a cell must have, no more and no fewer."""
    return (
        (EVERYWHERE if cell["flow"] not in AUTOENCODERS else EVERYWHERE - DENSITIES_ONLY | AUTOENCODERS_ONLY)
        | (CONTINUOUS_ONLY if cell["flow"] in CONTINUOUS else set())
        | (FLOWS_ONLY if cell["flow"] not in BASELINES else set())
        | ({"entropy_floor_bits_per_dim", "true_bits_per_dim"} if cell["data"] in KNOWN_DENSITY else set())
        | ({"kl_to_target"} if cell["data"] in ENERGIES else set())
        | (STUDENTS_ONLY if "teacher" in cell else set())
    )


def test_it_holds_every_flow(smoke):
    assert {cell["flow"] for cell in smoke.cells.values()} == set(flows.names())


def test_every_stage_made_every_output(smoke):
    pipeline = yaml.safe_load((smoke.root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name.partition("@")[0] for name in smoke.stages} == set(pipeline)
    for name, stage in smoke.stages.items():
        assert stage["outs"], name
        for out in stage["outs"]:
            path = smoke.root / out["path"]
            assert path.is_file() or any(path.iterdir()), f"{name}: {path}"


def test_nothing_is_left_over(smoke):
    assert list(smoke.root.rglob(".unfinished-*")) == []
    changes = smoke.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert [line[3:] for line in changes] == ["dvc.lock"]


def test_the_report_is_complete(smoke):
    folder = smoke.root / "reports" / "smoke"
    assert {path.name for path in folder.iterdir()} == {"README.md", "index.html", "results.csv", "figures"}
    figures = {path.name for path in (folder / "figures").iterdir()}
    data = [cell["data"] for cell in smoke.cells.values()]
    expected = {f"training-{name}.png" for name in data}
    expected |= {f"cost-{name}.png" for name in data if data.count(name) > 1}  # one cell has no other to compare with
    expected |= {f"evaluations-{cell['data']}.png" for cell in smoke.cells.values() if cell["flow"] in CONTINUOUS}
    for key, cell in smoke.cells.items():
        expected |= {f"training-{cell['data']}-{cell['flow']}.png"} if cell["flow"] in OTHER_LOSSES else set()
        kinds = ["samples", "reconstructions", "interpolation"] if cell["data"] == "digits" else ["density"]
        expected |= {f"{key}-{kind}.png" for kind in kinds}
        expected |= {f"{key}-training.png"} if cell["data"] in ENERGIES else set()
    assert figures == expected
    for page in ("README.md", "index.html"):
        text = (folder / page).read_text(encoding="utf-8")
        assert all(name in text for name in {*data, *flows.names()})


def test_every_cell_has_the_metrics_that_apply_to_it_for_every_seed(smoke):
    found = defaultdict(set)
    for row in smoke.results():
        if row["metric"] in NAMED:
            found[row["cell"], row["seed"]].add(row["metric"])
    assert found == {(key, seed): applicable(cell) for key, cell in smoke.cells.items() for seed in ("0", "1")}


def test_every_row_of_the_table_is_a_finite_number_with_its_unit(smoke):
    cells = smoke.cells
    for row in smoke.results():
        cell = cells[row["cell"]]
        assert row["suite"] == "smoke"
        assert row["dataset"] == cell["data"]
        assert row["cell"] == f"smoke-{row['dataset']}-{row['flow']}"
        assert row["flow"].startswith(cell["flow"])
        assert row["unit"] == METRICS[row["metric"]].unit
        assert row["device"] in ("cpu", "cuda")
        assert math.isfinite(float(row["value"])), row


def test_metrics_json_holds_finished_cells_and_finite_numbers(smoke):
    for key in smoke.cells:
        text = (smoke.root / "results" / key / "metrics.json").read_text(encoding="utf-8")
        metrics = json.loads(text, parse_constant=pytest.fail)  # NaN or Infinity
        assert (metrics["status"], metrics["seeds"], metrics["diverged"]) == ("finished", 2, 0)


def test_dvc_shows_metrics_and_plots(smoke, tmp_path):
    shown = json.loads(smoke.dvc("metrics", "show", "--json", stderr=None))[""]["data"]
    files = {name: entry["data"] for name, entry in shown.items()}
    expected = {f"results/{key}/metrics.json" for key in smoke.cells}
    assert files.keys() == expected
    without = {name for name, values in files.items() if "bits_per_dim" not in values}
    assert without == {f"results/{key}/metrics.json" for key, c in smoke.cells.items() if c["flow"] in AUTOENCODERS}

    smoke.dvc("plots", "show", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    # A baseline takes no steps, and its history is empty.
    steppers = [key for key, cell in smoke.cells.items() if cell["flow"] not in BASELINES]
    assert [key for key in steppers if f'"results/{key}/history.csv"' not in page] == []


def test_mlflow_holds_one_finished_run_of_each_cell(smoke):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{smoke.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flowbench-smoke")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == sorted(smoke.cells)
    commit = smoke.git("rev-parse", "HEAD").strip()
    cells = smoke.cells
    for run in runs:
        key, tags = run.info.run_name, run.data.tags
        assert run.info.status == "FINISHED"
        assert (tags["flowbench.cell"], tags["flowbench.suite"], tags["flowbench.status"]) == (key, "smoke", "finished")
        assert tags["mlflow.source.git.commit"].removesuffix("-dirty") == commit
        assert run.data.metrics.keys() >= applicable(cells[key])
        assert run.inputs.dataset_inputs[0].dataset.name == cells[key]["data"]
        assert "history.csv" in {file.path for file in client.list_artifacts(run.info.run_id)}


def test_a_second_run_only_asks_mlflow(smoke):
    assert smoke.changed() == set()
    output, seconds = timed(smoke.dvc, "repro")
    assert smoke.ran(output) == ["publish@smoke"]
    # About 15 seconds, which machines take in their own time: importing MLflow is what most of it goes to.
    _, of_mlflow = timed(smoke.python, "import mlflow")
    assert seconds < 5 * of_mlflow


def timed(run, *arguments) -> tuple[str, float]:
    """What a command prints, and the processor's time for it: a busy machine makes others wait."""
    seconds = -children_seconds()
    output = run(*arguments)
    return output, seconds + children_seconds()


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
