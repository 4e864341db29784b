"""What a cell's record is, and how a cell that was run again compares with it."""

import hashlib
import math
from pathlib import Path

import pytest
import yaml

from flowbench import metrics, verify
from flowbench.runtime.files import md5_of_folder
from flowbench.verify import Comparison, Record, RecordError, compare, load_record

KEY, SUITE = "moons-nice", "tiny"
SEEDS = "seed,metric,value,unit\n0,bits_per_dim,0.25,bits/dim\n0,invertibility_error_max,1e-07,data units\n"
METRICS = '{"bits_per_dim": 0.25}\n'


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@pytest.fixture
def root(tmp_path) -> Path:
    results, report = tmp_path / "results" / KEY, tmp_path / "reports" / SUITE
    results.mkdir(parents=True)
    report.mkdir(parents=True)
    (results / "metrics.json").write_text(METRICS, encoding="utf-8")
    (results / "seeds.csv").write_text(SEEDS, encoding="utf-8")
    (report / "results.csv").write_text(
        "suite,cell,dataset,flow,seed,metric,value,unit,device\n"
        f"{SUITE},{KEY},moons,nice,0,bits_per_dim,0.25,bits/dim,cpu\n"
        f"{SUITE},{KEY},moons,nice,0,invertibility_error_max,1e-07,data units,cpu\n",
        encoding="utf-8",
    )
    outs = [
        {"path": f"results/{KEY}/{name}", "md5": md5(text)}
        for name, text in (("metrics.json", METRICS), ("seeds.csv", SEEDS))
    ]
    stages = {
        f"evaluate@{KEY}": {"outs": outs},
        f"report@{SUITE}": {"outs": [{"path": f"reports/{SUITE}", "md5": md5_of_folder(report)}]},
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    return tmp_path


def record(root: Path) -> Record:
    return load_record(SUITE, KEY, root)


def test_a_record_is_the_digests_of_the_lock_and_the_values_of_the_report(root):
    found = record(root)
    assert found.digests == {"metrics.json": md5(METRICS), "seeds.csv": md5(SEEDS)}
    assert found.values == {("0", "bits_per_dim"): 0.25, ("0", "invertibility_error_max"): 1e-7}


def test_a_clone_without_results_has_its_record_all_the_same(root):
    for path in (root / "results" / KEY).iterdir():
        path.unlink()
    assert record(root).values


def test_a_suite_that_is_not_active_has_its_record_beside_its_report(root):
    before = record(root)
    (root / "dvc.lock").rename(root / "reports" / f"{SUITE}.lock")
    assert record(root) == before


def test_an_altered_file_is_named_with_both_digests(root):
    path = root / "results" / KEY / "metrics.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match=rf"metrics\.json: altered: its MD5 is {md5('{}')}, .* {md5(METRICS)}"):
        record(root)


def test_an_altered_report_is_named_with_both_digests(root):
    path = root / "reports" / SUITE / "results.csv"
    before = md5_of_folder(path.parent)
    path.write_text(path.read_text(encoding="utf-8").replace("0.25", "0.20"), encoding="utf-8")
    with pytest.raises(
        RecordError,
        match=rf"reports/tiny: altered, results\.csv or another file: its MD5 is {md5_of_folder(path.parent)}",
    ):
        record(root)
    assert md5_of_folder(path.parent) != before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("dvc.lock", r"dvc\.lock: has no digest of results/moons-nice/metrics\.json"),
        (
            "reports/tiny/results.csv",
            r"reports/tiny/results\.csv: is missing \(dvc\.lock has the MD5 [0-9a-f]{32}\.dir of the",
        ),
    ],
)
def test_what_is_missing_is_named(root, path, message):
    (root / path).unlink()
    with pytest.raises(RecordError, match=message):
        record(root)


def test_a_cell_that_was_never_run_has_no_record(root):
    with pytest.raises(RecordError, match=r"dvc\.lock: has no digest of results/moons-maf/metrics\.json"):
        load_record(SUITE, "moons-maf", root)


def again(folder: Path, bits: float, error: float = 1e-7) -> Path:
    folder.mkdir()
    (folder / "metrics.json").write_text(METRICS.replace("0.25", repr(bits)), encoding="utf-8")
    (folder / "seeds.csv").write_text(SEEDS.replace("0.25", repr(bits)).replace("1e-07", repr(error)), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("bits", "error", "verdict"),
    [
        (0.25, 1e-7, "equal"),
        (0.251, 3e-6, "within tolerance"),  # of rounding only the order is the machine's
        (0.25, 2e-7, "within tolerance"),
        (0.27, 1e-7, "different"),
        (math.nan, 1e-7, "different"),
    ],
)
def test_results_are_equal_near_or_different(root, tmp_path, bits, error, verdict):
    found = compare(record(root), again(tmp_path / "again", bits, error), tolerance=0.05)
    assert found.verdict == verdict
    if verdict == "different":
        assert found.where == "bits_per_dim of seed 0"


def test_a_metric_that_is_not_on_record_is_a_difference(root, tmp_path):
    folder = again(tmp_path / "again", 0.25)
    (folder / "seeds.csv").write_text(SEEDS + "0,energy_distance,0.1,data units\n", encoding="utf-8")
    assert compare(record(root), folder, tolerance=0.05).verdict == "different"


def test_a_metric_that_is_on_record_alone_is_a_difference(root, tmp_path):
    folder = again(tmp_path / "again", 0.25)
    without_bits = "".join(SEEDS.splitlines(True)[::2])
    (folder / "seeds.csv").write_text(without_bits, encoding="utf-8")
    found = compare(record(root), folder, tolerance=0.05)
    assert (found.verdict, found.where) == ("different", "bits_per_dim of seed 0")


def with_error(root: Path, folder: Path, metric: str, before: float | None, now: float | None) -> Comparison:
    """How two cells compare that differ in a metric, and not in others; ``None`` where it is missing."""
    values = {key: value for key, value in record(root).values.items() if key[1] != metric}
    if before is not None:
        values["0", metric] = before
    lines = [line for line in SEEDS.splitlines(True) if f",{metric}," not in line]
    lines += [] if now is None else [f"0,{metric},{now!r},\n"]
    (again(folder, 0.25) / "seeds.csv").write_text("".join(lines), encoding="utf-8")
    return compare(Record({"seeds.csv": "another"}, values), folder, 0.05)


@pytest.mark.parametrize(
    "metric",
    ["invertibility_error_max", "latent_invertibility_error_max_float64", "l2_error_data", "logdet_error_max",
     "log_prob_error_max", "sample_log_prob_error_max", "bits_per_dim_solver_error"],
)  # fmt: skip
def test_of_rounding_it_counts_whether_it_is_finite(root, tmp_path, metric):
    assert with_error(root, tmp_path / "near", metric, 1e-7, 1e-5).verdict == "within tolerance"
    for number, (before, now) in enumerate([(1e-7, math.inf), (math.nan, 1e-7), (1e-7, None), (None, 1e-7)]):
        found = with_error(root, tmp_path / str(number), metric, before, now)
        assert (found.verdict, found.where) == ("different", f"{metric} of seed 0")
    assert with_error(root, tmp_path / "never", metric, math.inf, math.nan).verdict == "within tolerance"


@pytest.mark.parametrize(
    "metric", ["reconstruction_error", "bits_per_dim_standard_error", "kl_to_teacher_standard_error"]
)
def test_other_errors_are_compared_as_every_metric(root, tmp_path, metric):
    assert with_error(root, tmp_path / "near", metric, 0.1, 0.101).verdict == "within tolerance"
    assert with_error(root, tmp_path / "far", metric, 0.1, 0.2).verdict == "different"


@pytest.mark.parametrize("metric", verify._RELATIVE)
def test_shares_and_parts_of_the_truth_are_not_divided_by_themselves(root, tmp_path, metric):
    assert with_error(root, tmp_path / "near", metric, 0.001, 0.002).verdict == "within tolerance"
    assert with_error(root, tmp_path / "far", metric, 0.001, 0.1).verdict == "different"


def test_every_metric_of_an_error_is_one_or_the_other():
    compared = {"reconstruction_error", "bits_per_dim_standard_error", "kl_to_teacher_standard_error"}
    errors = {name for name in metrics.METRICS if "_error" in name}
    assert {name for name in errors if not name.startswith((*verify._ROUNDING, *verify._RELATIVE))} == compared
