"""Runs a cell again, in a scratch folder, and compares with the numbers on record."""

from __future__ import annotations

import csv
import math
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowbench.config import PARAMS, Params, Student, Suite
from flowbench.metrics import METRICS
from flowbench.records.lock import LOCK, outputs
from flowbench.runtime.files import md5, md5_of_folder

# What each byte of must be the same on the machine that made the record.
_EXACT = ("metrics.json", "seeds.csv")
# Errors near rounding, or near a solver's tolerance, are of one order on another machine, at best, and so are counts of
# what such errors decide. Only whether they are finite is compared.
_ROUNDING = (
    "invertibility_error_",
    "latent_invertibility_error_",
    "l2_error_",
    "logdet_error_max",
    "divergence_error_max",
    "log_prob_error_max",
    "sample_log_prob_error_max",
    "bits_per_dim_solver_error",
    "non_finite_share",
    "lost_share_",
    "log_prob_evaluations",
    "sample_evaluations",
)
# Shares, of which one example more or less may be the whole, and differences in parts of the truth already.
_RELATIVE = ("outside_share", "normalised_path_energy", "learnt_mean_error", "learnt_std_error")

Verdict = Literal["equal", "within tolerance", "different"]


class RecordError(RuntimeError):
    """What a cell is compared with is missing or altered; says which file, and by which digest."""


@dataclass(frozen=True)
class Record:
    """What the repository says of a cell.

    Attributes:
        digests: the MD5 of each file that must come out the same, from ``dvc.lock``.
        values: by seed and metric, from the suite's ``results.csv``.
    """

    digests: dict[str, str]
    values: dict[tuple[str, str], float]


@dataclass(frozen=True)
class Comparison:
    """How a cell that was run again compares with its record.

    Attributes:
        verdict: ``equal`` if every byte is, else by the largest relative difference.
        largest: that difference, of the metrics that are compared.
        where: its metric and seed.
    """

    verdict: Verdict
    largest: float = 0.0
    where: str = ""


def suite_of(params: Params, key: str) -> Suite | None:
    """The suite that a cell belongs to, whether active or not."""
    return next((suite for suite in params.suites.values() if key in suite.all_cells), None)


def load_record(suite: str, key: str, root: Path = Path()) -> Record:
    """The record of a cell.

    Raises:
        RecordError: there is none, or a file is not the one that ``dvc.lock`` tells of.
    """
    outs = outputs([f"evaluate@{key}", f"evaluate_student@{key}", f"report@{suite}"], root, suite)
    digests = {}
    for name in _EXACT:
        path = f"results/{key}/{name}"
        if path not in outs:
            raise RecordError(f"{LOCK}: has no digest of {path}; make it with: dvc repro")
        digests[name] = outs[path]
        if (root / path).is_file() and (found := md5(root / path)) != outs[path]:
            raise RecordError(f"{path}: altered: its MD5 is {found}, and {LOCK} has {outs[path]}")
    report = f"reports/{suite}"
    table = root / report / "results.csv"
    if not table.is_file():
        known = f" ({LOCK} has the MD5 {outs[report]} of the folder)" if report in outs else ""
        raise RecordError(f"{report}/results.csv: is missing{known}; make it with: dvc repro")
    if report in outs and (found := md5_of_folder(root / report)) != outs[report]:
        raise RecordError(
            f"{report}: altered, results.csv or another file: its MD5 is {found}, and {LOCK} has {outs[report]}"
        )
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["cell"] == key]
    if not rows:
        raise RecordError(f"{report}/results.csv: has no values of {key}; make them with: dvc repro")
    return Record(digests, {(row["seed"], row["metric"]): float(row["value"]) for row in rows})


def run_again(params: Params, suite: Suite, key: str, scratch: Path, root: Path = Path()) -> Path:
    """Make a cell's data, its teacher if it has one, and the cell in ``scratch``; its folder of results.

    Raises:
        subprocess.CalledProcessError: a stage failed, having said why.
    """
    text = (root / PARAMS).read_text(encoding="utf-8")
    (scratch / PARAMS).write_text(re.sub(r"(?m)^active:.*$", f"active: *{suite.name}", text), encoding="utf-8")
    downloads = root / ".cache" / "downloads"
    if downloads.is_dir():
        (scratch / ".cache").mkdir()
        (scratch / ".cache" / "downloads").symlink_to(downloads.resolve())
    cell = suite.all_cells[key]
    steps = [("download", cell.data)]
    if isinstance(cell, Student):
        steps += [("train", cell.teacher), ("train_student", key), ("evaluate_student", key)]
    else:
        steps += [("train", key), ("evaluate", key)]
    paths = [str(root.resolve()), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    for stage, argument in steps:
        subprocess.run([sys.executable, "-m", f"stages.{stage}", argument], cwd=scratch, env=environment, check=True)
    return scratch / "results" / key


def compare(record: Record, folder: Path, tolerance: float) -> Comparison:
    """How the results in ``folder`` compare with the record.

    Args:
        tolerance: relative difference that another machine may make to each metric of each seed.
    """
    if all(md5(folder / name) == digest for name, digest in record.digests.items()):
        return Comparison("equal")
    with (folder / "seeds.csv").open(newline="", encoding="utf-8") as file:
        found = {(row["seed"], row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    largest, where = 0.0, "the files, though no metric"
    # On either side alone, too; but the report's table also has what depends on the host, and no file here.
    steady = {key for key in record.values if key[1] in METRICS and not METRICS[key[1]].host_dependent}
    for seed, metric in sorted(found.keys() | steady):
        key = seed, metric
        difference = _difference(metric, found.get(key, math.nan), record.values.get(key, math.nan))
        if not difference <= largest:  # what is not a number is the largest of all
            largest, where = difference, f"{metric} of seed {seed}"
            if math.isnan(difference):
                break
    return Comparison("within tolerance" if largest <= tolerance else "different", largest, where)


def verify(params: Params, key: str, tolerance: float, root: Path = Path()) -> Comparison:
    """Run a cell again, in a folder that is removed in the end, and compare it with its record."""
    suite = suite_of(params, key)
    assert suite is not None
    record = load_record(suite.name, key, root)
    with tempfile.TemporaryDirectory(prefix="flowbench-verify-") as scratch:
        return compare(record, run_again(params, suite, key, Path(scratch), root), tolerance)


def _difference(metric: str, a: float, b: float) -> float:
    """How far two values of a metric are from each other, not a number where they cannot be compared."""
    if metric.startswith(_ROUNDING):
        return 0.0 if math.isfinite(a) == math.isfinite(b) else math.nan
    if a == b:
        return 0.0
    return abs(a - b) / (1 if metric in _RELATIVE else max(abs(a), abs(b)))
