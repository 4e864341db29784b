"""``dvc.lock``: DVC's record of what each stage depended on and what it made. Each pipeline has one of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowbench.config import ConfigError, Suite
from flowbench.config.documents import read
from flowbench.runtime.files import md5, md5_of_folder

LOCK = "dvc.lock"
# The pipeline that all suites share lists the source code and makes the data sets.
SHARED = Path("stages", LOCK)


def path_of(suite: Suite) -> Path:
    """The lock of a suite's pipeline, relative to the repository's root."""
    return suite.folder / LOCK


def outputs(suite: Suite, stages: Iterable[str], root: Path = Path()) -> dict[str, str]:
    """The MD5 of each output of some stages of a suite by path, for those that are on record."""
    found = recorded(root / path_of(suite))
    return {out["path"]: out["md5"] for name in stages for out in found.get(name, {}).get("outs", [])}


def check(suite: Suite, keys: Iterable[str], root: Path = Path()) -> None:
    """Compare the files and folders of some cells, such as numbers, weights and pictures, with the record.

    DVC believes what lies in its cache, and restores a damaged file as if it were whole.

    Raises:
        ConfigError: a file or a folder is not the one on record.
    """
    for name, wanted in outputs(
        suite, [f"{step}@{key}" for key in keys for step in ("train", "evaluate")], root
    ).items():
        path, cached = root / name, f"files/md5/{wanted[:2]}/{wanted[2:]}"
        if not path.exists():
            continue
        kind, found = ("folder", md5_of_folder(path)) if path.is_dir() else ("file", md5(path))
        if found != wanted:
            whole = f"{cached} with the files that it lists" if kind == "folder" else cached
            raise ConfigError(
                f"{name}: is not the {kind} that {path_of(suite)} has on record; remove it and {whole} in the folder "
                f"that `dvc cache dir` names, which is damaged if nobody edited the {kind}, then run `{suite.repro}`"
            )


def lock_digest(suite: Suite, root: Path = Path()) -> str:
    """SHA-256 of all that the locks say of a suite's data and cells, as JSON; empty if they have none of its cells.

    The stages after them are left out, as no report could hold its own digest.
    """
    own, shared = recorded(root / path_of(suite)), recorded(root / SHARED)
    cells = {name: entry for name, entry in own.items() if name.partition("@")[2] in suite.cells}
    data = {name: shared[name] for name in shared if name in {f"download@{data}" for data in suite.data}}
    if not cells:
        return ""
    return hashlib.sha256(json.dumps(data | cells, sort_keys=True).encode()).hexdigest()


def recorded(path: Path) -> dict[str, Any]:
    """What a lock has of each stage, by its name; nothing where there is no lock."""
    if not path.is_file():
        return {}
    try:
        stages = read(path).get("stages")
    except ConfigError:
        stages = None
    if not isinstance(stages, dict):  # such as a file with the marks of a merge
        raise ConfigError(f"{path}: is no lock of DVC's; take one side of a merge, restore it with git or remove it")
    return stages
