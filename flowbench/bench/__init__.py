"""A benchmark of flows on a table of one's own: a folder with a suite of its own, which DVC runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowbench import certificates, data
from flowbench.bench.folder import ROOT, before, earlier, require_free, write
from flowbench.bench.settings import found, place, setting
from flowbench.bench.times import Plan, divide, probe
from flowbench.config import PARAMS, ConfigError, params, suites
from flowbench.data import Source
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.reproduction import BEGUN, CHATTER, SKIPPED
from flowbench.runtime.warm import for_stages, warm

# Of the minutes, the share that timing the flows may take.
_TIMING = 0.1
BASELINES = ("gaussian", "gaussian_mixture")
DEFAULT_FLOWS = (*BASELINES, "realnvp", "glow", "maf", "flow_matching-independent")
# What a stage of the pipeline counts as when the time is told.
_PARTS = {"train": "training", "evaluate": "measuring", "publish": "publishing", "report": "the report"}


class BenchError(ExpectedError):
    """DVC could not run the suite; what it printed says why."""


def _silent(line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Bench:
    """A benchmark in a folder.

    Attributes:
        name: of the data set and of the suite.
        folder: of the benchmark.
        plan: how its time is divided; ``None`` where the benchmark goes on with the steps that it has.
    """

    name: str
    folder: Path
    plan: Plan | None

    @property
    def report(self) -> Path:
        """The page of the results."""
        return self.folder / "reports" / self.name / "index.html"

    def run(self, tell: Callable[[str], None] = _silent) -> dict[str, float]:
        """Run what is stale, and write the report.

        Args:
            tell: is given each stage as it begins, and what DVC has to say.

        Returns:
            The seconds that each part took.

        Raises:
            BenchError: DVC failed.
        """
        pipeline = suites.folder(self.name) / suites.PIPELINE
        seconds: dict[str, float] = defaultdict(float)
        part, since = "starting DVC", time.monotonic()
        # Each line should come when it is written.
        with warm({**for_stages(), "PYTHONUNBUFFERED": "1"}) as environment:
            process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "repro", str(pipeline)],
                cwd=self.folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            assert process.stdout
            with process.stdout as lines:
                try:
                    for line in (one.rstrip("\n") for one in lines):
                        if begun := BEGUN.match(line):
                            now, stage = time.monotonic(), begun[1].rpartition(":")[2]
                            seconds[part] += now - since
                            part, since = _PARTS.get(stage.partition("@")[0], "preparing the data"), now
                            tell(stage)
                        elif skipped := SKIPPED.match(line):
                            tell(f"{skipped[1].rpartition(':')[2]} is up to date")
                        elif not CHATTER.match(line):
                            tell(line)
                except BaseException:
                    process.communicate()  # DVC has received Ctrl-C as well, and tidies up
                    raise
            status = process.wait()
        seconds[part] += time.monotonic() - since
        if status:
            raise BenchError(f"{self.folder}: DVC stopped; once that is mended, run the same command again")
        return dict(seconds)


def prepare(
    file: Path,
    labels: Sequence[str] = DEFAULT_FLOWS,
    *,
    minutes: float = 10.0,
    seeds: int = 3,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    fresh: bool = False,
    tell: Callable[[str], None] = _silent,
) -> Bench:
    """Check a table, and make the folder of its benchmark. The flows share the time equally.

    Args:
        file: CSV, Parquet or NPZ.
        labels: names of flows, such as ``maf``, with the suffix of a configuration where one has several, or files of
            flows of one's own, such as ``mine.py``.
        minutes: that the whole should take on this machine.
        seeds: trainings of each flow.
        options: of the data source ``table``.
        folder: where; ``<name of the file>-bench`` if left out. A benchmark that is there goes on, with the
            hyperparameters in it.
        fresh: whether the hyperparameters and steps of a benchmark that is there are forgotten.
        tell: is given a line about each thing that takes time or is decided here.

    Raises:
        DataError: the file cannot be used as it is; the message says what to decide.
        ConfigError: a flow or an option is wrong, or the folder holds something else.
    """
    if not (ROOT / suites.PIPELINE).is_file():
        raise ConfigError(f"{ROOT}: bench needs a clone of flowbench's repository, and `make env` in it")
    begin = time.monotonic()
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).strip("-") or "table"
    folder = folder or Path(f"{name}-bench")
    require_free(folder)
    there = {} if fresh else before(folder)
    own = {Path(label).stem: Path(label) for label in labels if label.endswith(".py")}
    labels = list(dict.fromkeys(Path(label).stem if label.endswith(".py") else label for label in labels))
    table = {"source": "table", "path": file.name} | dict(options or {})
    suite = {"about": f"flows on {file.name}, in equal shares of {minutes:g} min", "seeds": list(range(seeds))}
    with found(own):
        shared = params.load(ROOT / PARAMS)
        chosen = {label: setting(label, shared, there) for label in labels}  # before the table: names are checked fast
        if lost := sorted(there.get("budgets", {}).keys() - set(labels)):
            names = ",".join([*lost, *(label for label in labels if label not in lost)])
            raise ConfigError(
                f"{folder}: holds {', '.join(lost)}, too; say --flows {names} to keep all of them, "
                "--fresh to leave the old ones out of the report, or choose another --folder"
            )
        if changed := [label for label, one in chosen.items() if one.changed]:
            tell(f"{folder / PARAMS}: keeps what was changed of {', '.join(changed)}; --fresh forgets it")
        source = data.load(name, **table | {"path": str(file)})
        splits = checked(source)
        parts = ", ".join(f"{len(rows):,} for {split}" for split, rows in splits.items())
        tell(f"{sum(map(len, splits.values())):,} rows of {source.event.dims} columns are used: {parts}")
        for label, one in chosen.items():
            certificates.require_sound(label.partition("-")[0], source.event, one.options, label)
        plan, budgets = None, None if fresh else earlier(folder, name, suite, labels)
        if budgets is None:
            limit = _TIMING * 60 * minutes / len(labels)
            probes = {}
            for i, (label, one) in enumerate(chosen.items(), start=1):
                tell(f"timing {label}, {i} of {len(labels)}, for about {max(1, limit):.0f} s at most")
                probes[label] = probe(label.partition("-")[0], one.options, one.train, source, splits, limit)
            trains = {label: one.train for label, one in chosen.items()}
            budgets, plan = divide(probes, trains, 60 * minutes, time.monotonic() - begin, seeds)
            for label, budget in budgets.items():
                budget["evaluate"] |= chosen[label].evaluate
    configurations: dict[str, dict[str, Any]] = defaultdict(dict)
    for label, one in chosen.items():
        flow, configuration = place(label)
        configurations[flow][configuration] = one.options
    document = {"data": {name: table}, "flows": dict(configurations), "budgets": budgets}
    cells = [{"data": [name], "config": "table", "budgets": {label: [label] for label in budgets}}]
    write(folder, name, {**suite, "device": "auto", "cells": cells}, document, flows=own.values(), files=[file])
    return Bench(name, folder, plan)


def checked(source: Source) -> dict[str, np.ndarray]:
    """The splits of a source, as a download checks and saves them.

    Raises:
        DataError: something is wrong with them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        data.save(source, folder := Path(scratch, "data"))
        return {split: np.array(rows) for split, rows in data.read(folder).items()}
