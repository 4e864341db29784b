"""``dvc.lock``: what DVC has on record of each stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowbench.config import ConfigError, Suite
from flowbench.files import md5

LOCK = Path("dvc.lock")


def stages(root: Path = Path()) -> dict[str, Any]:
    """What each stage depended on and what it made, by its name; none where there is no lock."""
    import yaml

    if not (root / LOCK).is_file():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster in C
    return yaml.load((root / LOCK).read_text(), Loader=loader)["stages"]


def outputs(names: Iterable[str], root: Path = Path()) -> dict[str, str]:
    """The MD5 of each output of some stages by path, as far as they are on record."""
    recorded = stages(root)
    return {out["path"]: out["md5"] for name in names for out in recorded.get(name, {}).get("outs", [])}


def check(keys: Iterable[str], root: Path = Path()) -> None:
    """Compare the files with the numbers of some cells with the record; pictures and weights are not looked at.

    DVC believes what lies in its cache, and restores a damaged file as if it were whole.

    Raises:
        ConfigError: a file is not the one on record.
    """
    steps = ("train", "train_student", "evaluate", "evaluate_student")
    for path, wanted in outputs([f"{step}@{key}" for key in keys for step in steps], root).items():
        if (root / path).is_file() and md5(root / path) != wanted:
            cached = f"files/md5/{wanted[:2]}/{wanted[2:]}"
            raise ConfigError(
                f"{path}: is not the file that {LOCK} has on record; remove it and {cached} in the folder that "
                "`dvc cache dir` names, which is damaged if nobody edited the file, then run `dvc repro`"
            )


def digest(suite: Suite, root: Path = Path()) -> str:
    """SHA-256 of all that the lock says of a suite's code, data and cells, as JSON; empty if it has none of its cells.

    Its report and what is published come after, and are left out: no report could hold its own digest.
    """
    items = {*suite.data, *suite.all_cells}
    last = {f"publish@{suite.name}", f"report@{suite.name}"}
    of_suite = {
        name: stage
        for name, stage in stages(root).items()
        if name not in last and (name == "code" or name.partition("@")[2] in items)
    }
    if not any(name.partition("@")[2] in suite.all_cells for name in of_suite):
        return ""
    return hashlib.sha256(json.dumps(of_suite, sort_keys=True).encode()).hexdigest()
