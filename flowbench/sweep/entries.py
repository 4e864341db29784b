"""What a worker publishes of a cell: its entries of ``dvc.lock``, in one file that appears at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowbench.config import Suite
from flowbench.records import lock
from flowbench.runtime.files import replace_file

# Below the root of the repository, where neither git nor DVC looks.
SWEEPS = Path(".cache", "sweep")


def place(root: Path, suite: Suite, commit: str) -> Path:
    """The folder of the published entries of a suite at a commit."""
    return root / SWEEPS / suite.name / commit


def stages(keys: Iterable[str]) -> list[str]:
    """What the lock of their suite calls the stages of some cells."""
    return [f"{step}@{key}" for key in keys for step in ("train", "evaluate")]


def publish(root: Path, suite: Suite, commit: str, keys: Sequence[str], workspace: Path) -> None:
    """Publish the entries of some cells that DVC has made in ``workspace``, all of them at once.

    Raises:
        KeyError: the lock there has not all of them.
    """
    found = lock.recorded(workspace / lock.path_of(suite))
    folder = place(root, suite, commit)
    folder.mkdir(parents=True, exist_ok=True)
    content = {name: found[name] for name in stages(keys)}
    replace_file(folder / f"{keys[0]}.json", json.dumps(content, indent=1).encode())


def merge(root: Path, suite: Suite, commit: str) -> list[str]:
    """Write published entries into the suite's lock, in the order of its cells, and forget them; the cells.

    What the lock has already stays where it is. The lock is replaced at once, so that a reader finds the old or the new
    one, also after a crash.
    """
    files = sorted(place(root, suite, commit).glob("*.json"))
    found: dict[str, Any] = {}
    for file in files:
        found |= json.loads(file.read_text(encoding="utf-8"))
    keys = [key for key in suite.cells if f"evaluate@{key}" in found]
    if keys:
        write(root / lock.path_of(suite), {name: found[name] for name in stages(keys)})
    for file in files:
        file.unlink()
    return keys


def write(path: Path, made: Mapping[str, Any]) -> None:
    """Add stages to a lock, or renew them, in the words of DVC."""
    from dvc.utils.serialize import dumps_yaml

    content = {"schema": "2.0", "stages": {**lock.recorded(path), **made}}
    replace_file(path, dumps_yaml(content).encode())
