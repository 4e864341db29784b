"""What DVC would run again of a suite, and how long that takes by what is on record."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import typer

from flowbench.cli.arguments import duration
from flowbench.config import CellConfig, ConfigError, Params, Suite
from flowbench.config.suites import PIPELINE
from flowbench.records.files import TRAIN_TIMINGS, RecordError, read_json

_SHARED = Path("stages", PIPELINE)
_METRIC = "train_seconds"


@dataclass(frozen=True)
class Work:
    """What is left to do of a cell.

    Attributes:
        stages: ``train``, ``evaluate``, or both; none where the cell is up to date.
        seconds: how long its training takes on this machine; ``None`` where no time is on record.
    """

    stages: tuple[str, ...]
    seconds: float | None


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def plan(suite: Suite, params: Params, keys: Iterable[str]) -> dict[str, Work]:
    """What is left to do of some cells of a suite, in their order.

    Raises:
        ConfigError: DVC cannot say, and the message tells why.
    """
    keys = list(keys)
    stale = _stale(suite, keys)
    recorded = _recorded(suite)
    found = {}
    for key in keys:
        seconds = _here(suite.cells[key], params, recorded[key]) if key in recorded else None
        found[key] = Work(stale[key], seconds if "train" in stale[key] else 0.0)
    return found


def total(work: Iterable[Work]) -> str:
    """How long the training of some cells takes, in words."""
    work = list(work)
    unknown = sum(one.seconds is None for one in work)
    if unknown == len(work) and work:
        return "no time is on record"
    seconds = sum(one.seconds or 0.0 for one in work)
    known = f"about {duration(seconds)} of training" if seconds or unknown else "nothing left to train"
    return f"{known}, and {unknown} without a time on record" if unknown else known


def _stale(suite: Suite, keys: list[str]) -> dict[str, tuple[str, ...]]:
    """The stages of each cell that DVC would run again. What its cache holds, it may restore instead."""
    changed = _changed(suite, keys)

    def trains(key: str) -> bool:
        cell = suite.cells[key]
        own = {suite.stage("train", key), f"{_SHARED}:download@{cell.data}"}
        return bool(own & changed) or (cell.teacher is not None and trains(cell.teacher))

    found: dict[str, tuple[str, ...]] = {}
    for key in keys:
        if trains(key):
            found[key] = ("train", "evaluate")
        else:
            found[key] = ("evaluate",) if suite.stage("evaluate", key) in changed else ()
    return found


def _changed(suite: Suite, keys: list[str]) -> set[str]:
    """The stages that differ from the locks, of some cells and of what they need."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    # With all cells, the pipeline is collected once.
    every = set(keys) == suite.cells.keys()
    targets = [str(suite.folder / PIPELINE)] if every else [suite.stage("evaluate", key) for key in keys]
    try:
        with Repo() as repo:
            if repo.status(targets=[f"{_SHARED}:code"]):
                _list_code()
            return set(repo.status(targets=targets, with_deps=True))
    except DvcException as error:
        raise ConfigError(f"dvc status: {' '.join(str(error).split())}") from None


def _list_code() -> None:
    """Make code/, which is no part of the repository. It alone says which cells run code that has changed."""
    listing = subprocess.run([sys.executable, "-m", "stages.code"], check=False)
    if listing.returncode:
        raise typer.Exit(listing.returncode)


def _here(cell: CellConfig, params: Params, seconds: float) -> float:
    """How long the seeds of a cell take here, if each takes ``seconds`` of its own."""
    if _device(cell) != "cpu":
        return seconds * len(cell.seeds)  # one after another
    at_once = max(1, cores() // params.budgets[cell.budget].train.threads)
    return seconds * max(1.0, len(cell.seeds) / at_once)


def _recorded(suite: Suite) -> dict[str, float]:
    """Seconds that a seed of each cell has taken to train: of the last run here or, without one, of the report.

    Times of another kind of device than the cell would run on tell nothing, and are left out.
    """
    found: dict[str, float] = {}
    reported = _reported(suite)
    for key, cell in suite.cells.items():
        device = _device(cell)
        times = _timed(suite.results / key, device) or reported.get((key, device))
        if times:
            found[key] = mean(times)
    return found


def _timed(folder: Path, device: str) -> list[float]:
    from flowbench.records.training import TrainTimings

    try:
        timings = read_json(folder / TRAIN_TIMINGS, TrainTimings, folder)
    except RecordError:
        return []
    if timings.host.device != device:
        return []
    return [seed[_METRIC] for seed in timings.seeds.values() if _METRIC in seed]


def _reported(suite: Suite) -> dict[tuple[str, str], list[float]]:
    """Seconds of each seed by cell and device, in the report's ``results.csv``."""
    found = defaultdict(list)
    path = Path("reports", suite.name, "results.csv")
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get("metric") == _METRIC:
                    found[row["cell"], row["device"]].append(float(row["value"]))
    return found


def _device(cell: CellConfig) -> str:
    """The kind of device that a cell runs on here."""
    return cell.device if cell.device != "auto" else _best_device()


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
