"""Each number of a cell is the same wherever a person meets it: `dvc metrics show`, MLflow and the report."""

import json
import math
import sys

import pytest

from flowbench import tracking
from flowbench.metrics import METRICS
from flowbench.report import frame
from flowbench.report.judgement.estimates import Estimates
from flowbench.tracking import store
from tests import fake_results

CELLS = {
    "moons-maf": ("moons", "maf"),
    "moons-cnf": ("moons", "cnf"),
    "moons-iaf_distilled": ("moons", "iaf_distilled"),
    "two_modes-planar": ("two_modes", "planar"),
    "digits-glow": ("digits", "glow"),
}
MOST = sys.float_info.max
# Seeds that differ, so that a mean is not a worst value; and values that are not finite.
VALUES = {
    "non_finite_share": [0.0, 0.25, 0.5],
    "invertibility_error_mean": [1e-8, 3e-8, 2e-8],
    "invertibility_error_p99": [1e-7, 2e-7, math.inf],
    "logdet_error_max": [1e-14, math.nan, 1e-13],
    "bits_per_dim_solver_error": [1e-5, 4e-5, 2e-5],
    "minor_mode_share": [0.5, 0.4, 0.1],
}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The cells on disk, and their runs in a store of their own."""
    from mlflow import MlflowClient

    root = tmp_path_factory.mktemp("agreement")
    suite = fake_results.suite(CELLS)
    fake_results.write(root / "results", suite, values=dict.fromkeys(CELLS, VALUES), diverged={"moons-maf": (1,)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROOT", root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.publish("tiny", CELLS, root / "results")
        client = MlflowClient(tracking.store_uri())
        experiment = client.get_experiment_by_name("flowbench-tiny")
        runs = store.runs_of(client, experiment)
        runs = {run.data.tags[tracking.CELL_TAG]: run for run in runs if tracking.CELL_TAG in run.data.tags}
    return suite, root / "results", runs


@pytest.mark.parametrize("key", CELLS)
def test_dvc_mlflow_and_the_report_agree(published, key):
    suite, results, runs = published
    summary = json.loads((results / key / "metrics.json").read_text(encoding="utf-8"))
    cells = frame.load(results, suite, {})
    shown = Estimates(frame.tidy(suite.name, cells))
    found = {name: float(value) for name, value in summary.items() if name in METRICS}
    assert found.keys() >= {"non_finite_share", "logdet_error_max"}
    for name, value in found.items():
        # MLflow's databases keep the largest number for infinity.
        assert min(runs[key].data.metrics[name], MOST) == pytest.approx(min(value, MOST), rel=1e-15), name
        assert shown.value(key, name) == value, name


def test_errors_are_those_of_the_worst_seed(published):
    _, results, _ = published
    summary = json.loads((results / "moons-cnf" / "metrics.json").read_text(encoding="utf-8"))
    assert summary["non_finite_share"] == 0.5
    assert summary["invertibility_error_mean"] == 3e-8
    assert summary["invertibility_error_p99"] == summary["logdet_error_max"] == "inf"
    assert summary["bits_per_dim_solver_error"] == 4e-5
    assert summary["minor_mode_share"] == pytest.approx(1 / 3)


def test_what_depends_on_the_host_agrees_as_well(published):
    suite, results, runs = published
    shown = Estimates(frame.tidy(suite.name, frame.load(results, suite, {})))
    for key, run in runs.items():
        for name in ("train_seconds", "sample_samples_per_second", "peak_memory_mb"):
            assert run.data.metrics[name] == pytest.approx(shown.value(key, name), rel=1e-15), (key, name)
