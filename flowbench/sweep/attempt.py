"""One try to make the cells of a task, in a private clone: ``python -m flowbench.sweep.attempt`` and a JSON document.

It ends with the status of `dvc repro`. When whoever started it is gone, it ends with all that it has started.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowbench import config
from flowbench.config import PARAMS, Suite, suites
from flowbench.records import lock
from flowbench.sweep import Task, entries

# What a suite's pipeline takes from the stages that all suites share.
_LISTING = "code"


def main() -> int:
    """Make the cells that the first argument tells of, and publish their entries."""
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    asked = json.loads(sys.argv[1])
    root, folder = Path(asked["root"]), Path(asked["folder"])
    suite = suites.load(asked["suite"], config.load(root / PARAMS), root)
    task = Task(suite, tuple(asked["keys"]))
    clone(root, folder, suite, task.keys, Path(asked["cache"]))
    os.chdir(folder)
    from dvc.cli import main as dvc

    if status := dvc(["repro", "--single-item", *task.stages]):
        return status
    entries.publish(root, suite, asked["commit"], task.keys, folder)
    return 0


def clone(root: Path, folder: Path, suite: Suite, keys: Sequence[str], cache: Path) -> None:
    """Make a clone that has the code and the data of some cells, and a pipeline of these alone.

    DVC reads all pipelines of a repository at each command, and writes a lock anew after each stage.

    Args:
        cache: DVC's, of the repository.
    """
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--shared", str(root), str(folder)], check=True)
    _cut(folder, suite, keys)
    recorded = lock.recorded(root / lock.path_of(suite))
    for path in (folder / lock.LOCK, folder / lock.path_of(suite)):
        path.unlink(missing_ok=True)
    if kept := {name: recorded[name] for name in entries.stages(keys) if name in recorded}:
        entries.write(folder / lock.path_of(suite), kept)
    shutil.copyfile(root / lock.SHARED, folder / lock.SHARED)
    for part in (_LISTING, *(f"data/{data}" for data in {suite.cells[key].data for key in keys})):
        shutil.copytree(root / part, folder / part, copy_function=_linked)
    (folder / ".dvc" / "config.local").write_text(
        f"[core]\n    site_cache_dir = {folder / '.dvc' / 'site'}\n[cache]\n    dir = {cache}\n", encoding="utf-8"
    )


def _cut(folder: Path, suite: Suite, keys: Sequence[str]) -> None:
    """Leave nothing of the pipelines but some cells of one suite. Commits ignore all of this."""
    for name in suites.names(folder):
        if name != suite.name:
            (folder / suites.source(name)).unlink()
            if suites.folder(name) != Path():
                shutil.rmtree(folder / suites.folder(name))
    if suite.folder != Path():  # its pipeline is a link to that of the root, which must not have cells of its own
        (folder / suites.CELLS).write_text(suites.expanded(Suite(suites.DEFAULT, "", {}), folder), encoding="utf-8")
    some = Suite(suite.name, suite.about, {key: suite.cells[key] for key in keys})
    (folder / suite.source).write_text(json.dumps(_blocks(some)), encoding="utf-8")  # JSON is YAML
    (folder / suite.folder / suites.CELLS).write_text(suites.expanded(some, folder), encoding="utf-8")


def _blocks(suite: Suite) -> dict[str, Any]:
    """What ``suites/<name>.yaml`` says of the cells, in one block for each."""
    cells = []
    for key, cell in suite.cells.items():
        label = suite.label(key)
        suffix = label.removeprefix(cell.flow)  # such as `-mixture`, which the configuration has, too
        teacher = {label: suite.label(cell.teacher)} if cell.teacher else {}
        labels = [label, *teacher.values()]
        cells.append(
            {
                "data": [cell.data],
                "config": cell.config.removesuffix(suffix),
                "budgets": {cell.budget: labels[:1]},
                "teachers": teacher,
            }
        )
    first = next(iter(suite.cells.values()))
    return {"about": suite.about, "seeds": first.seeds, "device": first.device, "cells": cells}


def _linked(source: str, target: str) -> None:
    """Another name for the same bytes, which no stage of a cell writes; a copy where that cannot be."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)


def _end_with_the_driver() -> None:
    """Wait until standard input ends, as it does when the driver does, however it ends; then end the whole group."""
    while os.read(0, 1):  # not through a buffer, whose lock would be held while this process ends
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
