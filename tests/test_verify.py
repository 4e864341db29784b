"""What a cell's record is, and how a cell that was run again compares with it."""

import csv
import json
import math
from pathlib import Path

import pytest

from flowbench import config
from flowbench.config import Suite, suites
from flowbench.metrics import METRICS
from flowbench.records.errors import RecordError
from flowbench.records.evaluation import Evaluation
from flowbench.runtime.files import md5, md5_of_folder
from flowbench.verify import OnRecord, Rerun, compare, on_record, verify
from tests import fake_cell

KEY = "moons-nice"
CELL = f"results/tiny/{KEY}"
PARAMS = """\
data: {moons: {}}
flows: {nice: {plane: {}}, maf: {plane: {}}}
budgets: {quick: {train: {steps: 2, batch_size: 6}}}
"""
SUITE = "about: x\nseeds: [0, 1, 2]\ncells: [{data: [moons], config: plane, budgets: {quick: [nice, maf]}}]\n"


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with one cell of two, its report, and a lock that holds both."""
    (tmp_path / "suites" / "tiny").mkdir(parents=True)
    (tmp_path / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (tmp_path / "suites" / "tiny.yaml").write_text(SUITE, encoding="utf-8")
    fake_cell.write(tmp_path / CELL)
    report = tmp_path / "reports" / "tiny"
    report.mkdir(parents=True)
    with (report / "results.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["suite", "cell", "dataset", "flow", "seed", "metric", "value", "unit", "device"])
        for metric, by_seed in Evaluation.load(tmp_path / CELL).values.items():
            rows.writerows(
                ("tiny", KEY, "moons", "nice", seed, metric, repr(one.value), "", "cpu")
                for seed, one in by_seed.items()
            )
        rows.writerow(("tiny", KEY, "moons", "nice", 0, "train_seconds", "50.0", "s", "cpu"))
        # Of a lost seed the report has the size, which no evaluation measures.
        rows.writerow(("tiny", KEY, "moons", "nice", 7, "diverged_at", "20", "step", "cpu"))
        rows.writerow(("tiny", KEY, "moons", "nice", 7, "parameters", "1000.0", "", "cpu"))
    write_lock(tmp_path)
    return tmp_path


def write_lock(root: Path) -> None:
    """Put what is there on record."""
    outs = {
        f"train@{KEY}": ["trained", "train_timings.json", "history.csv"],
        f"evaluate@{KEY}": ["seeds.csv", "log_prob", "timings.json", "pictures", "metrics.json"],
    }
    stages = {name: {"outs": [entry(root, f"{CELL}/{path}") for path in paths]} for name, paths in outs.items()}
    stages["report"] = {"outs": [entry(root, "reports/tiny")]}
    (root / "suites" / "tiny" / "dvc.lock").write_text(json.dumps({"stages": stages}), encoding="utf-8")


def entry(root: Path, path: str) -> dict[str, str]:
    return {"path": path, "md5": (md5_of_folder if (root / path).is_dir() else md5)(root / path)}


def suite(root: Path) -> Suite:
    return suites.load("tiny", config.load(root / "params.yaml"), root)


def record(root: Path, key: str = KEY) -> OnRecord:
    return on_record(suite(root), key, root)


def test_a_record_is_the_digests_of_the_lock_and_the_values_of_the_report(root):
    found = record(root)
    assert found.digests == {name: md5(root / CELL / name) for name in ("metrics.json", "seeds.csv")}
    expected = {(seed, name): value * (1 + seed / 100) for name, value in fake_cell.VALUES.items() for seed in range(3)}
    assert found.values == expected, "to the last digit, and nothing that depends on the host"


def test_a_clone_without_results_has_its_record_all_the_same(root):
    before = record(root)
    for path in (root / CELL).rglob("*"):
        if path.is_file():
            path.unlink()
    for folder in ("trained", "pictures", "log_prob"):
        (root / CELL / folder).rmdir()
    assert record(root) == before


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("metrics.json", "metrics.json: is not the file"),
        ("seeds.csv", "seeds.csv: is not the file"),
        ("history.csv", "history.csv: is not the file"),
        ("trained/training.json", "trained: is not the folder"),
        ("trained/seed-1.safetensors", "trained: is not the folder"),
        ("log_prob/seed-0.npy", "log_prob: is not the folder"),
        ("pictures/density.png", "pictures: is not the folder"),
    ],
)
def test_one_changed_byte_is_named_without_running_the_cell(root, name, named, monkeypatch):
    def nothing(*_, **__):
        raise AssertionError("the cell was run")

    path = root / CELL / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr("flowbench.verify.run_again", nothing)
    with pytest.raises(RecordError) as error:
        verify(suite(root), KEY, 0.05, root)
    assert str(error.value).startswith(f"{CELL}/{named} that suites/tiny/dvc.lock has on record; ")
    assert "\n" not in str(error.value)


def test_an_altered_report_is_named_with_both_digests(root):
    path = root / "reports" / "tiny" / "results.csv"
    before = md5_of_folder(path.parent)
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "0.20"), encoding="utf-8")
    after = md5_of_folder(path.parent)
    message = rf"^reports/tiny: results\.csv or another file was altered: its MD5 is {after}, and \S+ has {before}$"
    with pytest.raises(RecordError, match=message):
        record(root)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "suites/tiny/dvc.lock",
            r"^suites/tiny/dvc\.lock: has no digest of results/tiny/moons-nice/metrics\.json; make it with: "
            r"dvc repro suites/tiny/dvc\.yaml:evaluate@moons-nice$",
        ),
        (
            "reports/tiny/results.csv",
            r"^reports/tiny/results\.csv: is missing \(suites/tiny/dvc\.lock has the MD5 [0-9a-f]{32}\.dir of the",
        ),
    ],
)
def test_what_is_missing_is_named(root, path, message):
    (root / path).unlink()
    with pytest.raises(RecordError, match=message):
        record(root)


def test_a_cell_that_was_never_run_has_no_record(root):
    with pytest.raises(RecordError, match=r"dvc\.lock: has no digest of results/tiny/moons-maf/metrics\.json; make"):
        record(root, "moons-maf")


def again(folder: Path, **values: float | None) -> Path:
    """The cell as it came out the second time, with other values of seed 0 where they are given; `None` takes one."""
    fake_cell.write(folder)
    for metric, value in values.items():
        lines = (folder / "seeds.csv").read_text(encoding="utf-8").splitlines(keepends=True)
        lines = [line for line in lines if not line.startswith(f"0,{metric},")]
        lines += [] if value is None else [f"0,{metric},{value!r},,300\n"]
        (folder / "seeds.csv").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "agreement"),
    [
        ({}, "equal"),
        ({"bits_per_dim": 0.251, "invertibility_error_max": 3e-6}, "within tolerance"),  # rounding is the machine's
        ({"invertibility_error_max": 2e-7}, "within tolerance"),
        ({"bits_per_dim": 0.27}, "different"),
        ({"bits_per_dim": math.nan}, "different"),
        ({"bits_per_dim": None}, "different"),
    ],
    ids=str,
)
def test_results_are_equal_near_or_different(root, tmp_path, changes, agreement):
    found = compare(record(root), again(tmp_path / "again", **changes), tolerance=0.05)
    assert found.agreement == agreement
    if agreement == "different":
        assert found.where == "bits_per_dim of seed 0"


def test_a_metric_that_is_not_on_record_is_a_difference(root, tmp_path):
    found = compare(record(root), again(tmp_path / "again", energy_distance=0.1), tolerance=0.05)
    assert (found.agreement, found.where) == ("different", "energy_distance of seed 0")


def test_other_bytes_with_the_same_numbers_are_within_tolerance(root, tmp_path):
    folder = again(tmp_path / "again")
    (folder / "metrics.json").write_text((folder / "metrics.json").read_text(encoding="utf-8") + "\n", encoding="utf-8")
    found = compare(record(root), folder, tolerance=0.0)
    assert found == Rerun("within tolerance", 0.0, "the files, though no metric")


@pytest.fixture
def with_values(root, tmp_path):
    """How two cells compare that differ in one metric alone; ``None`` where it is missing."""
    folder = again(tmp_path / "again")
    lines = (folder / "seeds.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    on_file = record(root).values

    def found(metric: str, before: float | None, now: float | None) -> Rerun:
        values = {at: value for at, value in on_file.items() if at != (0, metric)}
        if before is not None:
            values[0, metric] = before
        kept = [line for line in lines if not line.startswith(f"0,{metric},")]
        kept += [] if now is None else [f"0,{metric},{now!r},,300\n"]
        (folder / "seeds.csv").write_text("".join(kept), encoding="utf-8")
        return compare(OnRecord({"seeds.csv": "another"}, values), folder, 0.05)

    return found


def steady(reproduces: str) -> list[str]:
    """The metrics of each kind that are compared."""
    found = [name for name, metric in METRICS.items() if metric.reproduces == reproduces and not metric.host_dependent]
    assert found
    return found


def test_of_rounding_it_counts_whether_it_is_finite(with_values):
    for metric in steady("rounding"):
        assert with_values(metric, 1e-7, 1e-5).agreement == "within tolerance"
        for before, now in [(1e-7, math.inf), (math.nan, 1e-7), (1e-7, None), (None, 1e-7)]:
            found = with_values(metric, before, now)
            assert (found.agreement, found.where) == ("different", f"{metric} of seed 0")
        assert with_values(metric, math.inf, math.nan).agreement == "within tolerance"


def test_most_are_compared_relative_to_their_size(with_values):
    for metric in steady("relative"):
        assert with_values(metric, 0.1, 0.101).agreement == "within tolerance", metric
        assert with_values(metric, 0.1, 0.2).agreement == "different", metric
        assert with_values(metric, 0.0, 0.0).agreement == "within tolerance", metric


def test_shares_and_parts_of_the_truth_are_not_divided_by_themselves(with_values):
    for metric in steady("share"):
        assert with_values(metric, 0.001, 0.002).agreement == "within tolerance", metric
        assert with_values(metric, 0.001, 0.1).agreement == "different", metric


def test_what_is_counted_is_the_same(with_values):
    for metric in steady("exact"):
        assert with_values(metric, 10.0, 10.0).agreement == "within tolerance", metric
        assert with_values(metric, 10.0, 10.1).agreement == "different", metric


@pytest.mark.parametrize(
    ("metrics", "reproduces"),
    [
        (
            ["invertibility_error_max", "latent_invertibility_error_max_float64", "l2_error_data", "logdet_error_max",
             "log_prob_error_max", "sample_log_prob_error_max", "bits_per_dim_solver_error"],
            "rounding",
        ),
        (["reconstruction_error", "bits_per_dim_standard_error", "kl_to_teacher_standard_error"], "relative"),
    ],
    ids=["of rounding", "of measurement"],
)  # fmt: skip
def test_errors_of_either_kind_are_told_apart(metrics, reproduces):
    assert {METRICS[name].reproduces for name in metrics} == {reproduces}
