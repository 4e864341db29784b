"""A benchmark of flows on a table of one's own: a folder with a suite of its own, which DVC runs."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from flowbench import certificates, data, flows
from flowbench.bench.times import Plan, divide, probe
from flowbench.config import PARAMS, ConfigError, Params, known_argument, params, plugins, suites
from flowbench.config.documents import read
from flowbench.data import Source
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.files import write_json
from flowbench.runtime.reproduction import BEGUN, CHATTER
from flowbench.runtime.warm import for_stages, warm

ROOT = Path(__file__).parents[2]
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
# What training needs beside the number of its steps.
_TRAIN: dict[str, Any] = {"batch_size": 256, "learning_rate": 0.002, "clip_norm": 5.0}
_TRAINS: dict[str, dict[str, Any]] = {
    "affine": {"learning_rate": 0.02},
    "cnf": {"batch_size": 128, "learning_rate": 0.01, "validation_examples": 1000},
    "flow_matching": {"learning_rate": 0.005, "clip_norm": 0.0, "ema_decay": 0.99},
}
# The keys of a budget that follow from the minutes; the others are the user's to change.
_DIVIDED = ("steps", "validate_every")
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
                    for line in lines:
                        if begun := BEGUN.match(line.rstrip("\n")):
                            now, stage = time.monotonic(), begun[1].rpartition(":")[2]
                            seconds[part] += now - since
                            part, since = _PARTS.get(stage.partition("@")[0], "preparing the data"), now
                            tell(stage)
                        elif not CHATTER.match(line):
                            tell(line.rstrip("\n"))
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
    written = folder / PARAMS
    if folder.exists() and any(folder.iterdir()) and not _is_ours(written):
        raise ConfigError(f"{folder}: holds something else; choose another with --folder")
    before = {} if fresh else _before(written)
    table = {"source": "table", "path": file.name} | dict(options or {})
    source = data.load(name, **table | {"path": str(file)})
    splits = checked(source)
    own = {Path(label).stem: Path(label) for label in labels if label.endswith(".py")}
    labels = list(dict.fromkeys(Path(label).stem if label.endswith(".py") else label for label in labels))
    if lost := sorted(_at(before, "budgets", default={}).keys() - set(labels)):
        names = ",".join([*lost, *(label for label in labels if label not in lost)])
        raise ConfigError(f"{folder}: holds {', '.join(lost)}, too; say --flows {names}, --fresh, or another --folder")
    suite = {"about": f"flows on {file.name}, {minutes:g} minutes in all", "seeds": list(range(seeds))}
    with _found(own):
        ours = {label: _options(label, params.load(ROOT / PARAMS)) for label in labels}
        chosen = {label: _at(before, "flows", *_configuration(label), default=one) for label, one in ours.items()}
        kept = {label: _at(before, "budgets", label, default={}) for label in labels}
        trains = {label: _train(label) for label in labels}
        edited = {label: trains[label] | _other(kept[label].get("train", {})) for label in labels}
        if changed := [label for label in labels if (chosen[label], edited[label]) != (ours[label], trains[label])]:
            tell(f"{written}: keeps what was changed of {', '.join(changed)}; --fresh forgets it")
        for label, of_flow in chosen.items():
            certificates.require_sound(label.partition("-")[0], source.event, of_flow, label)
        plan, budgets = None, None if fresh else _earlier(folder, name, suite, labels)
        if budgets is None:
            limit = _TIMING * 60 * minutes / len(labels)
            probes = {}
            for i, label in enumerate(labels, start=1):
                tell(f"timing {label}, {i} of {len(labels)}, for about {max(1, limit):.0f} s at most")
                flow = label.partition("-")[0]
                probes[label] = probe(flow, chosen[label], edited[label], source, splits, limit)
            budgets, plan = divide(probes, edited, 60 * minutes, time.monotonic() - begin, seeds)
            for label, budget in budgets.items():
                budget["evaluate"] |= kept[label].get("evaluate", {})
    bench = Bench(name, folder, plan)
    bench.folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(written):
        written.write_text(_MADE, encoding="utf-8")  # first: the next call can go on from whatever stops this one
    _copy(bench.folder, own.values(), file)
    configurations: dict[str, dict[str, Any]] = {}
    for label, of_flow in chosen.items():
        flow, configuration = _configuration(label)
        configurations.setdefault(flow, {})[configuration] = of_flow
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


def _before(path: Path) -> dict[str, Any]:
    """What stands in the ``params.yaml`` of a benchmark that is there; nothing where it was only begun."""
    return read(path) if _is_ours(path) and path.read_text(encoding="utf-8") != _MADE else {}


def _at(document: Mapping[str, Any], *keys: str, default: dict[str, Any]) -> dict[str, Any]:
    """The mapping below some keys of a document, or the default where one of them is missing."""
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else default


def _other(train: Mapping[str, Any]) -> dict[str, Any]:
    """What a training needs beside that which follows from the minutes."""
    return {key: value for key, value in train.items() if key not in _DIVIDED}


def _earlier(folder: Path, name: str, suite: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any] | None:
    """The budgets of a benchmark that is there if the same was asked for: times of steps differ from call to call."""
    try:
        before, budgets = read(folder / suites.source(name)), read(folder / PARAMS).get("budgets") or {}
    except ConfigError:
        return None
    return budgets if suite.items() <= before.items() and budgets.keys() == set(labels) else None


@contextmanager
def _found(own: Mapping[str, Path]) -> Iterator[None]:
    """A block in which files of flows of one's own are found by their names, those of the repository's among them."""
    for file in own.values():
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; name a flow, or a file that holds one")
    there = {Path(folder).resolve() for folder in flows.__path__}
    of_repository = (ROOT / plugins.OWN / "flows").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        added = [scratch] if of_repository in there else [scratch, str(of_repository)]
        for name, file in own.items():
            if file.resolve().parent not in (*there, of_repository):
                (Path(scratch) / f"{name}.py").symlink_to(file.absolute())
        flows.__path__.extend(added)
        try:
            yield
        finally:
            for folder in added:
                flows.__path__.remove(folder)


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
    build = getattr(plugins.load(flows.__name__, flow, flows.__path__), "build", None)
    parameters = inspect.signature(build).parameters.values() if callable(build) else ()
    if lacking := [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]:
        raise ConfigError(
            f"flow {flow}: build has no default for {', '.join(lacking)}; give it one, "
            f"or write flows.{flow}.table in {PARAMS}"
        )
    return {}


def _configuration(label: str) -> tuple[str, str]:
    """The name of a flow and that of its configuration in the benchmark."""
    flow, _, suffix = label.partition("-")
    return flow, f"table-{suffix}" if suffix else "table"


def _train(label: str) -> dict[str, Any]:
    """What a training needs beside the number of its steps."""
    return _TRAIN | _TRAINS.get(label.partition("-")[0], {})


def _write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    from ruamel.yaml import YAML

    text = StringIO()
    yaml = YAML()
    yaml.default_flow_style = None  # the innermost mappings and lists on one line
    yaml.width = 110
    yaml.dump(dict(content), text)
    path.write_text(_MADE + text.getvalue(), encoding="utf-8")
