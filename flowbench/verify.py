"""Runs a cell again, in a scratch folder, and compares with the numbers on record."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flowbench import config, data
from flowbench.config import PARAMS, ConfigError, Suite
from flowbench.config.suites import CELLS
from flowbench.metrics import METRICS
from flowbench.metrics.catalogue import LOST_AT
from flowbench.records import lock
from flowbench.records.errors import RecordError
from flowbench.records.evaluation import Evaluation
from flowbench.records.files import METRICS_FILE, SEEDS_FILE
from flowbench.runtime.files import md5, md5_of_folder
from flowbench.runtime.mirror import with_absolute_mirror

# On the machine that made the record, each byte of these must be the same.
_EXACT = (METRICS_FILE, SEEDS_FILE)

Agreement = Literal["equal", "within tolerance", "different"]
# A value by seed and metric.
Values = dict[tuple[int, str], float]


@dataclass(frozen=True)
class OnRecord:
    """What the repository says of a cell.

    Attributes:
        digests: the MD5 of each file that must come out the same, from ``dvc.lock``.
        values: from the suite's ``results.csv``, without those that depend on the host.
    """

    digests: dict[str, str]
    values: Values


@dataclass(frozen=True)
class Rerun:
    """How a cell that was run again compares with its record.

    Attributes:
        agreement: ``equal`` if every byte is, else by the largest difference.
        largest: that difference, of the metrics that are compared.
        where: its metric and seed.
    """

    agreement: Agreement
    largest: float = 0.0
    where: str = ""


def on_record(suite: Suite, key: str, root: Path = Path()) -> OnRecord:
    """The record of a cell.

    Raises:
        RecordError: there is none, or a file of the cell or of the report is not the one that ``dvc.lock`` tells of.
    """
    name = lock.path_of(suite)
    try:
        lock.check(suite, [key], root)
    except ConfigError as error:  # such as weights with one byte changed
        raise RecordError(str(error)) from None
    outs = lock.outputs(suite, [f"evaluate@{key}", "report"], root)
    digests = {}
    for file in _EXACT:
        path = str(suite.results / key / file)
        if path not in outs:
            again = f"dvc repro {suite.stage('evaluate', key)}"
            raise RecordError(f"{name}: has no digest of {path}; make it with: {again}")
        digests[file] = outs[path]
    report = f"reports/{suite.name}"
    table = root / report / "results.csv"
    if not table.is_file():
        known = f" ({name} has the MD5 {outs[report]} of the folder)" if report in outs else ""
        raise RecordError(f"{report}/results.csv: is missing{known}; make it with: {suite.repro}")
    if report in outs and (found := md5_of_folder(root / report)) != outs[report]:
        raise RecordError(
            f"{report}: results.csv or another file was altered: its MD5 is {found}, and {name} has {outs[report]}"
        )
    values = _read_results(table, key)
    if not values:
        raise RecordError(f"{report}/results.csv: has no values of {key}; make them with: {suite.repro}")
    return OnRecord(digests, values)


def run_again(suite: Suite, key: str, scratch: Path, root: Path = Path()) -> Path:
    """Make a cell's data, its teacher if it has one, and the cell in ``scratch``; its folder of results.

    Raises:
        subprocess.CalledProcessError: a stage failed, having said why.
    """
    for path in (PARAMS, suite.source, suite.folder / CELLS):
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, scratch / path)
    downloads = root / ".cache" / "downloads"
    if downloads.is_dir():
        (scratch / ".cache").mkdir()
        (scratch / ".cache" / "downloads").symlink_to(downloads.resolve())
    cell = suite.cells[key]
    for path in data.load(cell.data, **config.load(root / PARAMS).data[cell.data]).files():
        (scratch / path).parent.mkdir(parents=True, exist_ok=True)
        (scratch / path).symlink_to((root / path).resolve())
    steps: list[tuple[str, ...]] = [("download", cell.data)]
    if cell.teacher:
        steps.append(("train", suite.name, cell.teacher))
    steps += [("train", suite.name, key), ("evaluate", suite.name, key)]
    paths = [str(root.resolve()), os.environ.get("PYTHONPATH", "")]
    environment = with_absolute_mirror(os.environ) | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    for stage, *arguments in steps:
        subprocess.run([sys.executable, "-m", f"stages.{stage}", *arguments], cwd=scratch, env=environment, check=True)
    return scratch / suite.results / key


def compare(record: OnRecord, folder: Path, tolerance: float) -> Rerun:
    """How the results in ``folder`` compare with the record.

    Args:
        tolerance: the difference that another machine may make to each metric of each seed, as the catalogue says
            how exactly it comes back.
    """
    if all(md5(folder / name) == digest for name, digest in record.digests.items()):
        return Rerun("equal")
    found: Values = {
        (seed, name): measured.value
        for name, by_seed in Evaluation.load(folder).values.items()
        for seed, measured in by_seed.items()
    }
    largest, where = 0.0, "the files, though no metric"
    for at in sorted(found.keys() | record.values.keys()):
        seed, metric = at
        difference = _difference(metric, found.get(at, math.nan), record.values.get(at, math.nan))
        if not difference <= largest:  # what is not a number is the largest of all
            largest, where = difference, f"{metric} of seed {seed}"
            if math.isnan(difference):
                break
    return Rerun("within tolerance" if largest <= tolerance else "different", largest, where)


def verify(suite: Suite, key: str, tolerance: float, root: Path = Path()) -> Rerun:
    """Run a cell again, in a folder that is removed in the end, and compare it with its record."""
    record = on_record(suite, key, root)
    with tempfile.TemporaryDirectory(prefix="flowbench-verify-") as scratch:
        return compare(record, run_again(suite, key, Path(scratch), root), tolerance)


def _read_results(path: Path, key: str) -> Values:
    """The values of a cell in a report's ``results.csv``."""
    import pandas as pd

    # As text, since the parser of older versions is off in the last digit.
    table = pd.read_csv(path, dtype={"value": str})
    of_cell = table[table["cell"] == key]
    lost = set(of_cell.loc[of_cell["metric"].isin(LOST_AT.values()), "seed"])
    rows = of_cell[of_cell["metric"].isin(METRICS)]
    return {
        (seed, metric): float(value)
        for seed, metric, value in zip(rows["seed"], rows["metric"], rows["value"], strict=True)
        if not METRICS[metric].host_dependent and seed not in lost
    }


def _difference(metric: str, a: float, b: float) -> float:
    """How far two values of a metric are from each other, not a number where they cannot be compared."""
    match METRICS[metric].reproduces:
        case "rounding":
            return 0.0 if math.isfinite(a) == math.isfinite(b) else math.nan
        case "exact":
            return 0.0 if a == b else math.nan
        case "share":
            return abs(a - b) if a != b else 0.0
        case "relative":
            return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0
