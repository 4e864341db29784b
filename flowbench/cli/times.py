"""How long the seeds of cells have taken, by the last run here or, without one, by the reports."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from flowbench.config import CellConfig, ConfigError, Params, Suite, suites
from flowbench.records.errors import RecordError
from flowbench.records.files import TIMINGS, TRAIN_TIMINGS, read_json

TRAINING, MEASURING = "train_seconds", "evaluate_seconds"


class Time(NamedTuple):
    """Seconds of one seed, and the suite that they are borrowed from; empty for the cell's own."""

    seconds: float
    suite: str = ""


class Times:
    """The times on record of the cells of a suite, and of cells of other suites that stand in for them.

    Times of another kind of device than a cell would run on tell nothing, and are left out.

    Args:
        suite: whose cells are asked for.
        params: with all budgets.
    """

    def __init__(self, suite: Suite, params: Params):
        self._suite, self._params = suite, params
        self._others: list[Suite] | None = None

    def of(self, key: str, metric: str) -> Time | None:
        """What a seed of a cell takes, or about that; ``None`` where no cell like it has a time on record."""
        cell = self._suite.cells[key]
        if found := _recorded(self._suite, key, metric):
            return Time(mean(found))
        steps = self._steps(cell)
        likely = [
            (
                abs(math.log(steps / self._steps(other.cells[same]))),
                other.name,
                mean(found),
                self._steps(other.cells[same]),
            )
            for other, same in self._alike(cell)
            if (found := _recorded(other, same, metric))
        ]
        if not likely:
            return None
        _, name, seconds, its_steps = min(likely)  # of the nearest budget
        return Time(seconds * steps / its_steps if metric == TRAINING else seconds, name)

    def _steps(self, cell: CellConfig) -> int:
        return self._params.budgets[cell.budget].train.steps

    def _alike(self, cell: CellConfig) -> Iterator[tuple[Suite, str]]:
        """Cells of other suites that differ in their budget alone."""
        if self._others is None:
            self._others = []
            for name in suites.names():
                try:
                    if name != self._suite.name:
                        self._others.append(suites.load(name, self._params))
                except ConfigError:
                    continue  # a mistake in another suite is none of this one's
        for other in self._others:
            for key, its in other.cells.items():
                if (its.data, its.flow, its.config) == (cell.data, cell.flow, cell.config):
                    yield other, key


def device(cell: CellConfig) -> str:
    """The kind of device that a cell runs on here."""
    return cell.device if cell.device != "auto" else _best_device()


@cache
def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _recorded(suite: Suite, key: str, metric: str) -> list[float]:
    """Seconds of each seed of a cell, of the last run here or, without one, of the suite's report."""
    kind = device(suite.cells[key])
    here = (_trained if metric == TRAINING else _measured)(suite.results / key, kind)
    return here or _reported(suite.name).get((key, kind, metric), [])


def _trained(folder: Path, kind: str) -> list[float]:
    from flowbench.records.training import TrainTimings

    try:
        timings = read_json(folder / TRAIN_TIMINGS, TrainTimings, folder)
    except RecordError:
        return []
    seeds = timings.seeds.values() if timings.host.device == kind else ()
    return [seed[TRAINING] for seed in seeds if TRAINING in seed]


def _measured(folder: Path, kind: str) -> list[float]:
    from flowbench.records.evaluation import Timings

    try:
        timings = read_json(folder / TIMINGS, Timings, folder)
    except RecordError:
        return []
    seeds = timings.seeds.values() if timings.host.device == kind else ()
    return [seed[MEASURING].value for seed in seeds if MEASURING in seed]


def _reported(name: str) -> dict[tuple[str, str, str], list[float]]:
    """Seconds of each seed by cell, device and metric, in a report's ``results.csv``."""
    path = Path("reports", name, "results.csv").absolute()
    return _rows(path, path.stat().st_mtime_ns) if path.is_file() else {}


@cache
def _rows(path: Path, _changed: int) -> dict[tuple[str, str, str], list[float]]:
    found = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (metric := row.get("metric")) in (TRAINING, MEASURING):
                found[row["cell"], row["device"], metric].append(float(row["value"]))
    return dict(found)
