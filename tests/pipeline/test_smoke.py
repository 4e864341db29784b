"""What the smoke suite leaves behind when it has run from beginning to end."""

import json
import math
import re
import resource

import pytest

from flowbench.config import CellConfig, documents
from flowbench.metrics import METRICS
from flowbench.records.record import Record
from tests.pipeline.clone import PUBLISH

EVERYWHERE = {
    "bits_per_dim",
    "nll_nats",
    "sliced_wasserstein",
    "energy_distance",
    "parameters",
    "train_seconds",
    "evaluate_seconds",
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
BASELINES = {"gaussian"}
KNOWN_DENSITY = {"gaussian", "gaussian_1d", "moons", "two_modes"}
ENERGIES = {"two_modes"}
CONTINUOUS = {"cnf", "flow_matching"}
CONTINUOUS_ONLY = {"solver_tolerance", "bits_per_dim_solver_error", "normalised_path_energy", "energy_distance_euler_2"}
AUTOENCODERS = {"flow_autoencoder"}
AUTOENCODERS_ONLY = {"reconstruction_error", "psnr", "latent_bits_per_dim"}
DENSITIES_ONLY = {"bits_per_dim", "nll_nats", "log_prob_samples_per_second"}
STUDENTS_ONLY = {"teacher_bits_per_dim", "kl_to_teacher", "distillation_speedup", "distillation_speedup_naive"}
NAMED = (
    EVERYWHERE
    | FLOWS_ONLY
    | STUDENTS_ONLY
    | CONTINUOUS_ONLY
    | AUTOENCODERS_ONLY
    | {"entropy_floor_bits_per_dim", "true_bits_per_dim", "kl_to_target"}
)


@pytest.fixture(scope="module")
def cells(smoke) -> dict[str, CellConfig]:
    return smoke.suite.cells


def applicable(cell: CellConfig) -> set[str]:
    """The named metrics that a cell must have, no more and no fewer."""
    return (
        (EVERYWHERE if cell.flow not in AUTOENCODERS else EVERYWHERE - DENSITIES_ONLY | AUTOENCODERS_ONLY)
        | (CONTINUOUS_ONLY if cell.flow in CONTINUOUS else set())
        | (FLOWS_ONLY if cell.flow not in BASELINES else set())
        | ({"entropy_floor_bits_per_dim", "true_bits_per_dim"} if cell.data in KNOWN_DENSITY else set())
        | ({"kl_to_target"} if cell.data in ENERGIES else set())
        | (STUDENTS_ONLY if cell.teacher else set())
    )


def with_pictures(cell: CellConfig) -> bool:
    return "without-pictures" not in cell.budget


def test_it_holds_every_kind_of_cell(smoke, cells):
    """What stages treat differently. `tests/evaluation/test_every_flow.py` trains and measures all flows."""
    for kind in (BASELINES, CONTINUOUS, AUTOENCODERS):
        assert kind <= {cell.flow for cell in cells.values()}
    assert {cell.data for cell in cells.values()} >= KNOWN_DENSITY | {"digits"}
    assert any(cell.teacher for cell in cells.values())
    assert any(cell.config.endswith("-label") for cell in cells.values())


def test_every_stage_made_every_output(smoke):
    pipelines = [documents.read(smoke.root / name)["stages"] for name in ("dvc.yaml", "stages/dvc.yaml")]
    assert {name.partition("@")[0] for name in smoke.stages} == set().union(*pipelines)
    for name, stage in smoke.stages.items():
        assert stage["outs"], name
        for out in stage["outs"]:
            path = smoke.root / out["path"]
            # A generator has no density, so the folder of its log-likelihoods is empty.
            empty = path.name == "log_prob" and "autoencoder" in name
            empty |= path.name == "pictures" and not with_pictures(smoke.suite.cells[name.partition("@")[2]])
            assert path.is_file() or any(path.iterdir()) != empty, f"{name}: {path}"


def test_choosing_a_suite_rewrites_no_tracked_file_but_its_own_lock_and_the_shared_one(smoke):
    assert list(smoke.root.rglob(".unfinished-*")) == []
    changes = smoke.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert {line[3:] for line in changes} <= {"suites/smoke/dvc.lock", "stages/dvc.lock"}
    assert list(smoke.root.rglob("cells.json")) != []


def test_the_report_is_complete(smoke, cells):
    folder = smoke.root / "reports" / "smoke"
    assert {path.name for path in folder.iterdir()} == {"README.md", "index.html", "results.csv", "figures"}
    text = "".join((folder / page).read_text(encoding="utf-8") for page in ("README.md", "index.html"))
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert set(re.findall(r"figures/([\w.-]+\.png)", text)) == figures
    for key, cell in cells.items():
        drawn = [name for name in figures if name.startswith(f"{key}-")]
        assert bool(drawn) == with_pictures(cell), f"{key}: {drawn}"
    for page in ("README.md", "index.html"):
        text = (folder / page).read_text(encoding="utf-8")
        assert all(name in text for name in {*smoke.suite.data, *(cell.flow for cell in cells.values())})


def test_every_cell_has_the_metrics_that_apply_to_it_for_every_seed(smoke, cells):
    named = {name: set() for name in cells}
    for key in cells:
        values = Record.load(smoke.root / "results" / "smoke" / key).finished_values
        named[key] = {(name, seed) for name, by_seed in values.items() if name in NAMED for seed in by_seed}
    assert named == {key: {(name, seed) for name in applicable(cell) for seed in (0, 1)} for key, cell in cells.items()}


def test_every_row_of_the_table_is_a_finite_number_with_its_unit(smoke, cells):
    rows = smoke.results()
    assert {row["cell"] for row in rows} == cells.keys()
    for row in rows:
        cell = cells[row["cell"]]
        assert (row["suite"], row["dataset"]) == ("smoke", cell.data)
        assert row["flow"].startswith(cell.flow)
        if row["metric"] in METRICS:
            assert row["unit"] == METRICS[row["metric"]].unit
        assert row["device"] in ("cpu", "cuda")
        assert math.isfinite(float(row["value"])), row


def test_metrics_json_holds_finished_cells_and_finite_numbers(smoke, cells):
    for key in cells:
        text = (smoke.root / "results" / "smoke" / key / "metrics.json").read_text(encoding="utf-8")
        metrics = json.loads(text, parse_constant=pytest.fail)  # NaN or Infinity
        assert (metrics["status"], metrics["seeds"], metrics["diverged"]) == ("finished", 2, 0)


def test_dvc_shows_metrics(smoke, cells):
    from dvc.repo import Repo

    with smoke.here(), Repo() as repo:
        shown = repo.metrics.show()[""]["data"]
    files = {name: entry["data"] for name, entry in shown.items() if "data" in entry}
    assert files.keys() == {f"results/smoke/{key}/metrics.json" for key in cells}
    without = {name for name, values in files.items() if "bits_per_dim" not in values}
    autoencoders = [key for key, cell in cells.items() if cell.flow in AUTOENCODERS]
    assert without == {f"results/smoke/{key}/metrics.json" for key in autoencoders}


@pytest.mark.slow
def test_dvc_shows_plots(smoke, cells, tmp_path):
    # A baseline takes no steps, and its history is empty.
    histories = [f"results/smoke/{key}/history.csv" for key, cell in cells.items() if cell.flow not in BASELINES]
    smoke.dvc("plots", "show", "--out", str(tmp_path), *histories)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert [name for name in histories if f'"{name}"' not in page] == []


def test_mlflow_holds_one_finished_run_of_each_cell(smoke, cells):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{smoke.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("flowbench-smoke")
    runs = client.search_runs([experiment.experiment_id])
    of_seeds = [run for run in runs if "flowbench.seed" in run.data.tags]
    runs = [run for run in runs if run not in of_seeds]
    assert sorted(run.data.tags["flowbench.cell"] for run in runs) == sorted(cells)
    below = sorted((run.data.tags["mlflow.parentRunId"], run.data.tags["flowbench.seed"]) for run in of_seeds)
    assert below == sorted((run.info.run_id, seed) for run in runs for seed in "01")
    commit = smoke.git("rev-parse", "HEAD").strip()
    for run in runs:
        key, tags = run.data.tags["flowbench.cell"], run.data.tags
        assert run.info.run_name == f"{cells[key].data} · {key.removeprefix(f'{cells[key].data}-')} · 2 seeds"
        assert run.info.status == "FINISHED"
        assert (tags["flowbench.cell"], tags["flowbench.suite"], tags["flowbench.status"]) == (key, "smoke", "finished")
        assert tags["mlflow.source.git.commit"] == commit, "nothing was changed while it ran"
        assert run.data.metrics.keys() >= applicable(cells[key])
        assert run.inputs.dataset_inputs[0].dataset.name == cells[key].data
        assert "history.csv" in {file.path for file in client.list_artifacts(run.info.run_id)}


def test_nothing_is_stale_after_a_run_but_what_asks_mlflow(smoke):
    assert smoke.changed(but=()) == {PUBLISH}


@pytest.mark.slow
def test_a_second_run_only_asks_mlflow(smoke):
    output, seconds = timed(smoke.repro)
    assert smoke.ran(output) == [PUBLISH]
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
