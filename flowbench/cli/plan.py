"""What DVC would run again of a suite, and how long that takes by what is on record."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from flowbench.cli.arguments import duration
from flowbench.cli.times import MEASURING, TRAINING, Times, device
from flowbench.config import CellConfig, ConfigError, Params, Suite
from flowbench.config.suites import PIPELINE

_SHARED = Path("stages", PIPELINE)


@dataclass(frozen=True)
class Work:
    """What is left to do of a cell.

    Attributes:
        stages: ``train``, ``evaluate``, or both; none where the cell is up to date.
        training, measuring: seconds that these take on this machine; 0 for what is not left to do, and ``None`` where
            no time is on record.
        borrowed: the suites whose cells these times are of, about, where the cell has none of its own.
    """

    stages: tuple[str, ...]
    training: float | None
    measuring: float | None = 0.0
    borrowed: tuple[str, ...] = ()

    @property
    def whole(self) -> float | None:
        """Seconds of all that is left; ``None`` where a part has no time on record."""
        return None if self.training is None or self.measuring is None else self.training + self.measuring


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
    times = Times(suite, params)
    found = {}
    for key in keys:
        seconds: dict[str, float | None] = {TRAINING: 0.0, MEASURING: 0.0}
        borrowed: dict[str, None] = {}
        for stage, metric in (("train", TRAINING), ("evaluate", MEASURING)):
            if stage in stale[key]:
                time = times.of(key, metric)
                seconds[metric] = _here(suite.cells[key], params, time.seconds) if time else None
                borrowed |= {time.suite: None} if time and time.suite else {}
        found[key] = Work(stale[key], seconds[TRAINING], seconds[MEASURING], tuple(borrowed))
    return found


def total(work: Iterable[Work]) -> str:
    """How long the training and the measuring of some cells take, in words."""
    work = list(work)
    both = {"training": [one.training for one in work], "measuring": [one.measuring for one in work]}
    told = [text for what, seconds in both.items() if (text := _sum(what, seconds))]
    if len(told) == 2 and all(text.startswith("no time") for text in told):
        return "no time on record"
    return ", ".join(told) or "nothing left to run"


def _sum(what: str, seconds: list[float | None]) -> str:
    """How long one of both takes; empty where none of it is left."""
    known, unknown = sum(one for one in seconds if one is not None), seconds.count(None)
    told = f"about {duration(known)} of {what}" if known else f"no time of {what} on record" if unknown else ""
    return f"{told}, and {unknown} without a time on record" if known and unknown else told


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
    if device(cell) != "cpu":
        return seconds * len(cell.seeds)  # one after another
    at_once = max(1, cores() // params.budgets[cell.budget].train.threads)
    return seconds * max(1.0, len(cell.seeds) / at_once)
