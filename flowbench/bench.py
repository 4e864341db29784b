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
from typing import Any

import numpy as np

from flowbench import api, certificates, data, flows
from flowbench.config import ConfigError, Params, known_argument, params, suites
from flowbench.core import FittedModel
from flowbench.data import SPLITS, Source
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.files import write_json
from flowbench.runtime.warm import warm

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
# Share of the time that training may take; the rest is for measuring.
_TRAINING = 0.7
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
DEFAULT_FLOWS = ("gaussian", "gaussian_mixture", "realnvp", "glow", "maf", "flow_matching-independent")


class BenchError(ExpectedError):
    """DVC could not run the suite; what it printed says why."""


@dataclass(frozen=True)
class Bench:
    """A benchmark in a folder.

    Attributes:
        name: of the data set and of the suite.
        folder: of the benchmark.
    """

    name: str
    folder: Path

    @property
    def report(self) -> Path:
        """The page of the results."""
        return self.folder / "reports" / self.name / "index.html"

    def run(self) -> None:
        """Run what is stale, and write the report; a `BenchError` if DVC fails."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        environment.setdefault("OMP_WAIT_POLICY", "passive")
        command = [sys.executable, "-m", "dvc", "repro", str(suites.folder(self.name) / suites.PIPELINE)]
        with warm(environment) as warmed:
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
            flows of one's own, such as ``radial.py``.
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
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).strip("-") or "table"
    bench = Bench(name, folder or Path(f"{name}-bench"))
    written = bench.folder / params.PARAMS
    if bench.folder.exists() and any(bench.folder.iterdir()) and not _is_ours(written):
        raise ConfigError(f"{bench.folder}: holds something else; choose another with --folder")
    table = {"source": "table", "path": file.name} | dict(options or {})
    source = data.load(name, **table | {"path": str(file)})
    splits = source.splits()
    own = {Path(label).stem: Path(label) for label in labels if label.endswith(".py")}
    labels = list(dict.fromkeys(Path(label).stem if label.endswith(".py") else label for label in labels))
    with _found(own):
        chosen = {label: _options(label, params.load(ROOT / params.PARAMS)) for label in labels}
        for label, of_flow in chosen.items():
            certificates.require_sound(label.partition("-")[0], source.event, of_flow, label)
        budgets = _budgets(chosen, source, splits, 60 * minutes * (os.cpu_count() or 1) * _TRAINING / seeds)
    bench.folder.mkdir(parents=True, exist_ok=True)
    written.write_text(_MADE, encoding="utf-8")  # first, so that the next call can go on from whatever stops this one
    _copy(bench.folder, own.values(), file)
    configurations: dict[str, dict[str, Any]] = {}
    for label, of_flow in chosen.items():
        flow, _, suffix = label.partition("-")
        configurations.setdefault(flow, {})[f"table-{suffix}" if suffix else "table"] = of_flow
    _write_yaml(written, {"data": {name: table}, "flows": configurations, "budgets": budgets})
    block = {"data": [name], "config": "table", "budgets": {budget: [budget] for budget in budgets}}
    about = f"flows on {file.name}, {minutes:g} minutes in all"
    path = bench.folder / suites.source(name)
    path.parent.mkdir(exist_ok=True)
    _write_yaml(path, {"about": about, "seeds": list(range(seeds)), "device": "auto", "cells": [block]})
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


def _is_ours(path: Path) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8").startswith(_MADE)


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


def _budgets(
    chosen: Mapping[str, dict[str, Any]], source: Source, splits: Mapping[str, np.ndarray], seconds: float
) -> dict[str, dict[str, Any]]:
    """A budget for each flow, named after it, whose steps take an equal share of ``seconds``."""
    budgets = {}
    for label, options in chosen.items():
        flow = label.partition("-")[0]
        wanted = _BUDGET | _BUDGETS.get(flow, {})
        took = _seconds_a_step(flow, options, source, splits, wanted)
        steps = int(seconds / len(chosen) / took) if took else 1
        steps = max(_FEWEST_STEPS, min(steps, _MOST_STEPS)) if took else 1
        # Twenty looks at the validation split, in whole rows of the history.
        wanted = {"steps": steps, **wanted, "validate_every": max(10, steps // 200 * 10)}
        budgets[label] = {"train": wanted, "evaluate": dict(_EVALUATE)}
    return budgets


def _seconds_a_step(
    flow: str, options: dict[str, Any], source: Source, splits: Mapping[str, np.ndarray], budget: Mapping[str, Any]
) -> float:
    """Time of a training step, measured; 0 of a baseline, which takes none."""
    try:
        model = flows.build(flow, source.event, options, f"flow {flow}")
    except flows.EventError as error:
        raise ConfigError(f"{flow}: {error}") from None
    if isinstance(model, FittedModel):
        return 0.0
    train, validation = (splits[name][:5000] for name in SPLITS[:2])
    options = dict(budget) | {"validate_every": _PROBED}
    with redirect_stderr(StringIO()):  # without the bars of trainings that nobody waits for
        api.fit(model, train, validation[:500], **options | {"steps": 2})
        start = time.perf_counter()
        api.fit(model, train, validation[:500], **options | {"steps": _PROBED})
    return (time.perf_counter() - start) / _PROBED


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None  # the innermost mappings and lists on one line
    yaml.width = 110
    yaml.dump(dict(content), text)
    path.write_text(_MADE + text.getvalue(), encoding="utf-8")
