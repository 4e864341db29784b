import json
import math

import pytest

from flowbench.report.frame import CSV_COLUMNS, load, tidy, write_csv
from flowbench.report.judgement.estimates import Estimates
from tests import fake_results
from tests.report.made_up import read

CELLS = {
    "moons-nice": ("moons", "nice"),
    "moons-gaussian": ("moons", "gaussian"),
    "digits-maf": ("digits", "maf"),
    "digits-iaf_distilled": ("digits", "iaf_distilled"),
}
LOST = {"diverged": {"moons-nice": [1]}, "failed": {"digits-maf": {2: "why"}}}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    fake_results.write(folder, fake_results.suite(CELLS), values={"digits-maf": {"psnr": [math.inf, 1.5]}}, **LOST)
    return folder


@pytest.fixture(scope="module")
def cells(results):
    return load(results, fake_results.suite(CELLS), {"digits-maf": "abc"})


def test_results_csv_holds_every_value_of_every_seed(cells, tmp_path):
    write_csv(tmp_path / "results.csv", tidy("tiny", cells))
    rows = read(tmp_path / "results.csv")
    assert list(rows[0]) == CSV_COLUMNS
    order = [(row["suite"], row["cell"], int(row["seed"]), row["metric"]) for row in rows]
    assert order == sorted(order)
    found = {(row["cell"], int(row["seed"]), row["metric"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    wanted = {
        (cell.key, seed, metric): repr(float(one.value))
        for cell in cells
        for metric, by_seed in cell.record.values.items()
        for seed, one in by_seed.items()
    }
    wanted |= {("moons-nice", 1, "diverged_at"): "150.0", ("digits-maf", 2, "failed_at"): "150.0"}
    assert found == wanted
    nice = next(row for row in rows if row["cell"] == "moons-nice" and row["metric"] == "bits_per_dim")
    shown = [nice[name] for name in ("suite", "dataset", "flow", "unit", "n", "device")]
    assert shown == ["tiny", "moons", "nice", "bits/dim", "20000", "cpu"]


def test_the_report_combines_seeds_as_metrics_json_does(results, cells):
    """Every number that both have."""
    estimates = Estimates(tidy("tiny", cells))
    for cell in cells:
        summary = json.loads((results / cell.key / "metrics.json").read_text(encoding="utf-8"))
        shared = cell.record.evaluation.values.keys()
        assert shared
        assert {name: estimates.value(cell.key, name) for name in shared} == {
            name: float(summary[name]) for name in shared
        }


def test_lost_seeds_are_marked(cells):
    frame = tidy("tiny", cells)
    lost = frame[frame["lost"]]
    assert set(zip(lost["cell"], lost["seed"], strict=True)) == {("moons-nice", 1), ("digits-maf", 2)}
    assert {"parameters", "train_seconds"} <= set(lost["metric"])


def test_cells_have_their_facts(cells):
    nice, gaussian, maf, student = cells
    assert (nice.label, nice.data, nice.baseline, nice.diverged, nice.failed) == ("nice", "moons", False, {1: 150}, {})
    assert nice.budget == (300, 512, pytest.approx(300 * 512 / 50_000))
    assert gaussian.budget is None
    assert gaussian.baseline
    assert (maf.digest, nice.digest, maf.failed) == ("abc", "", {2: "why"})
    assert student.teacher == "digits-maf"


def test_cells_that_have_not_been_run_are_left_out(results):
    more = fake_results.suite(CELLS | {"moons-glow": ("moons", "glow")})
    assert [cell.key for cell in load(results, more, {})] == list(CELLS)
