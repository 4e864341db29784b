"""A benchmark of flows on a table of one's own: a folder with a suite of its own, which DVC runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowbench import api, certificates, data, flows
from flowbench.config import PARAMS, ConfigError, Params, known_argument, params, suites
from flowbench.config.documents import read
from flowbench.core import FittedModel
from flowbench.data import SPLITS, Source
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.files import write_json
from flowbench.runtime.warm import for_stages, warm

ROOT = Path(__file__).parents[1]
# What a folder needs of the repository, so that its results depend on nothing outside of it.
_COPIED = ("flowbench", "plugins", "stages", "reports/assets", ".dvcignore", ".dvc/plots")
_DVC = """\
[core]
    analytics = false
    check_update = false
    no_scm = true
[plots]
    html_template = plots/page.html
"""
_MADE = "# Made by `flowbench bench`; edit it, and run that again or `dvc repro`.\n"
# Seconds on two cores: of the pipeline's start, the data, the publication and the report, and of the two stages of a
# flow beside their work.
_PIPELINE, _STAGES = 30.0, 3.0
# Measuring a seed takes so many times what `flowbench.score` takes, with more metrics and a trained flow, and these
# seconds: of what is timed for as long, and of pictures.
_SCORES, _SPEEDS = 6.0, 1.0
_LOOKS = 20  # at the validation split
_FEWEST_STEPS, _MOST_STEPS = 100, 50_000
_PROBED = 20  # steps by which the time of one is measured
# What training needs beside the number of its steps.
_BUDGET: dict[str, Any] = {"batch_size": 256, "learning_rate": 0.002, "clip_norm": 5.0}
_BUDGETS: dict[str, dict[str, Any]] = {
    "affine": {"learning_rate": 0.02},
    "cnf": {"batch_size": 128, "learning_rate": 0.01, "validation_examples": 1000},
    "flow_matching": {"learning_rate": 0.005, "clip_norm": 0.0, "ema_decay": 0.99},
}
_EVALUATE = {"samples": 2000, "invertibility_points": 1000, "logdet_points": 4}
BASELINES = ("gaussian", "gaussian_mixture")
DEFAULT_FLOWS = (*BASELINES, "realnvp", "glow", "maf", "flow_matching-independent")


class BenchError(ExpectedError):
    """DVC could not run the suite; what it printed says why."""


class Shares(NamedTuple):
    """Seconds of wall time that the parts of a benchmark should take: ``starting`` is all that is not the others."""

    training: float
    measuring: float
    starting: float


@dataclass(frozen=True)
class Bench:
    """A benchmark in a folder.

    Attributes:
        name: of the data set and of the suite.
        folder: of the benchmark.
        shares: how its time is divided.
    """

    name: str
    folder: Path
    shares: Shares

    @property
    def report(self) -> Path:
        """The page of the results."""
        return self.folder / "reports" / self.name / "index.html"

    def run(self) -> None:
        """Run what is stale, and write the report; a `BenchError` if DVC fails."""
        command = [sys.executable, "-m", "dvc", "repro", str(suites.folder(self.name) / suites.PIPELINE)]
        with warm(for_stages()) as warmed:
            status = subprocess.run(command, cwd=self.folder, env=warmed).returncode
        if status:
            raise BenchError(f"{self.folder}: DVC stopped; once that is mended, run the same command again")


def prepare(
    file: Path,
    labels: Sequence[str] = DEFAULT_FLOWS,
    *,
    minutes: float = 10.0,
    seeds: int = 3,
    options: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Bench:
    """Check a table, and make the folder of its benchmark. The flows share the time equally.

    Args:
        file: CSV, Parquet or NPZ.
        labels: names of flows, such as ``maf``, with the suffix of a configuration where one has several, or files of
            flows of one's own, such as ``mine.py``.
        minutes: that the whole should take on this machine.
        seeds: trainings of each flow.
        options: of the data source ``table``.
        folder: where; ``<name of the file>-bench`` if left out. A benchmark that is there goes on.

    Raises:
        DataError: the file cannot be used as it is; the message says what to decide.
        ConfigError: a flow or an option is wrong, or the folder holds something else.
    """
    if not (ROOT / suites.PIPELINE).is_file():
        raise ConfigError(f"{ROOT}: bench needs a clone of flowbench's repository, and `make env` in it")
    begin = time.monotonic()
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).strip("-") or "table"
    folder = folder or Path(f"{name}-bench")
    written = folder / PARAMS
    if folder.exists() and any(folder.iterdir()) and not _is_ours(written):
        raise ConfigError(f"{folder}: holds something else; choose another with --folder")
    table = {"source": "table", "path": file.name} | dict(options or {})
    source = data.load(name, **table | {"path": str(file)})
    splits = checked(source)
    own = {Path(label).stem: Path(label) for label in labels if label.endswith(".py")}
    labels = list(dict.fromkeys(Path(label).stem if label.endswith(".py") else label for label in labels))
    with _found(own):
        chosen = {label: _options(label, params.load(ROOT / PARAMS)) for label in labels}
        for label, of_flow in chosen.items():
            certificates.require_sound(label.partition("-")[0], source.event, of_flow, label)
        probes = {label: _probe(label.partition("-")[0], one, source, splits) for label, one in chosen.items()}
    budgets, shares = _divide(probes, 60 * minutes, time.monotonic() - begin, seeds)
    suite = {"about": f"flows on {file.name}, {minutes:g} minutes in all", "seeds": list(range(seeds))}
    budgets = _earlier(folder, name, suite, budgets) or budgets
    bench = Bench(name, folder, shares)
    bench.folder.mkdir(parents=True, exist_ok=True)
    written.write_text(_MADE, encoding="utf-8")  # first, so that the next call can go on from whatever stops this one
    _copy(bench.folder, own.values(), file)
    configurations: dict[str, dict[str, Any]] = {}
    for label, of_flow in chosen.items():
        flow, _, suffix = label.partition("-")
        configurations.setdefault(flow, {})[f"table-{suffix}" if suffix else "table"] = of_flow
    _write_yaml(written, {"data": {name: table}, "flows": configurations, "budgets": budgets})
    block = {"data": [name], "config": "table", "budgets": {budget: [budget] for budget in budgets}}
    path = bench.folder / suites.source(name)
    path.parent.mkdir(exist_ok=True)
    _write_yaml(path, suite | {"device": "auto", "cells": [block]})
    # No link to one at the root, as in the repository: that would be the pipeline of a suite that is not here.
    pipeline = bench.folder / suites.folder(name) / suites.PIPELINE
    pipeline.parent.mkdir(exist_ok=True)
    shutil.copy(ROOT / suites.PIPELINE, pipeline)
    subprocess.run(
        [sys.executable, "-c", "from flowbench.cli import main; main()", "expand"],
        cwd=bench.folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return bench


def checked(source: Source) -> dict[str, np.ndarray]:
    """The splits of a source, as a download checks and saves them.

    Raises:
        DataError: something is wrong with them.
    """
    with tempfile.TemporaryDirectory() as scratch:
        data.save(source, folder := Path(scratch, "data"))
        return {split: np.array(rows) for split, rows in data.read(folder).items()}


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8").startswith(_MADE)


def _earlier(folder: Path, name: str, suite: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The budgets of a benchmark that is there if the same was asked for: times of steps differ from call to call."""
    try:
        before, budgets = read(folder / suites.source(name)), read(folder / PARAMS).get("budgets") or {}
    except ConfigError:
        return None
    same = suite.items() <= before.items() and budgets.keys() == wanted.keys()
    return budgets if same else None


@contextmanager
def _found(own: Mapping[str, Path]) -> Iterator[None]:
    """A block in which files of flows of one's own are found by their names."""
    for file in own.values():
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; name a flow, or a file that holds one")
    with tempfile.TemporaryDirectory() as scratch:
        for name, file in own.items():
            (Path(scratch) / f"{name}.py").symlink_to(file.absolute())
        flows.__path__.append(scratch)
        try:
            yield
        finally:
            flows.__path__.remove(scratch)


def _copy(folder: Path, own: Iterable[Path], file: Path) -> None:
    """What the benchmark runs: flowbench itself, flows of one's own, the table, and the scripts of its page."""
    for part in _COPIED:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "dvc.lock", "*.pyc"))
        else:
            shutil.copy(source, target)
    (folder / ".dvc" / "config").write_text(_DVC, encoding="utf-8")
    (folder / "plugins" / "flows").mkdir(parents=True, exist_ok=True)
    for flow in own:
        shutil.copy(flow, folder / "plugins" / "flows")
    write_json(folder / "reports" / "survived.json", {})
    shutil.copy(file, folder)


def _options(label: str, shared: Params) -> dict[str, Any]:
    """The hyperparameters of a flow for tables: those of its configuration ``table`` or ``plane``, or its defaults."""
    flow, _, suffix = label.partition("-")
    known_argument(flow, flows.names(), "flow")
    configurations = shared.flows.get(flow, {})
    for base in ("table", "plane"):
        if (name := f"{base}-{suffix}" if suffix else base) in configurations:
            return configurations[name]
    if suffix or any(name.startswith("plane-") for name in configurations):
        suffixes = [name.removeprefix("plane-") for name in configurations if name.startswith("plane-")]
        known_argument(label, [f"{flow}-{one}" for one in suffixes], "configuration for tables")
    return {}


class _Probe(NamedTuple):
    """Seconds of a training step, of what a training takes beside its steps, and of measuring one seed."""

    step: float
    beside: float
    measuring: float


def _divide(
    probes: Mapping[str, _Probe], seconds: float, taken: float, seeds: int
) -> tuple[dict[str, dict[str, Any]], Shares]:
    """A budget for each flow, named after it, and how the time is divided.

    The steps of all flows take equal times, and the whole ``seconds`` with what is ``taken`` already. They take more
    where the fewest steps do.
    """
    at_once = max(1.0, seeds / len(os.sched_getaffinity(0)))  # seeds that share a core
    measuring = at_once * sum(probe.measuring for probe in probes.values())
    starting = taken + _PIPELINE + _STAGES * len(probes)
    fitting = at_once * sum(probe.beside for probe in probes.values())
    trained = sum(probe.step > 0 for probe in probes.values())
    share = (seconds - measuring - starting - fitting) / at_once / max(1, trained)
    budgets: dict[str, dict[str, Any]] = {}
    for label, probe in probes.items():
        steps = max(_FEWEST_STEPS, min(int(share / probe.step), _MOST_STEPS)) if probe.step else 1
        # In whole rows of the history.
        every = max(10, steps // (10 * _LOOKS) * 10)
        wanted = {"steps": steps, **_train_budget(label), "validate_every": every}
        budgets[label] = {"train": wanted, "evaluate": dict(_EVALUATE)}
    stepping = at_once * sum(probe.step * budgets[label]["train"]["steps"] for label, probe in probes.items())
    return budgets, Shares(fitting + stepping, measuring, starting)


def _train_budget(label: str) -> dict[str, Any]:
    """What a training needs beside the number of its steps."""
    return _BUDGET | _BUDGETS.get(label.partition("-")[0], {})


def _probe(flow: str, options: dict[str, Any], source: Source, splits: Mapping[str, np.ndarray]) -> _Probe:
    """How long a flow takes here: a few steps of it and a part of its measuring are timed."""
    try:
        model = flows.build(flow, source.event, options, f"flow {flow}")
    except flows.EventError as error:
        raise ConfigError(f"{flow}: {error}") from None
    train, validation, test = (splits[name] for name in SPLITS)
    budget = _train_budget(flow)

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        api.fit(model, train, validation, **budget | {"steps": steps, "validate_every": steps})
        return time.perf_counter() - start

    step = beside = 0.0
    with redirect_stderr(StringIO()):  # without the bars of trainings that nobody waits for
        once = seconds(2)
        if isinstance(model, FittedModel):
            beside = once
        else:
            once = seconds(2)  # the first of all starts slowly
            step = max(seconds(_PROBED + 2) - once, 1e-6) / _PROBED
            beside = _LOOKS * max(once - 2 * step, 0.0)
        start = time.perf_counter()
        api.score(model, test, **_EVALUATE)
    return _Probe(step, beside, _SPEEDS + _SCORES * (time.perf_counter() - start))


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None  # the innermost mappings and lists on one line
    yaml.width = 110
    yaml.dump(dict(content), text)
    path.write_text(_MADE + text.getvalue(), encoding="utf-8")
