"""``dvc.lock``: DVC's record of each stage of the active suite; ``reports/<suite>.lock`` keep those of others.

DVC reads and writes the whole lock at each stage, so the cells of other suites would slow every run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowbench.config import ConfigError, Suite
from flowbench.files import md5, replace_file

LOCK = Path("dvc.lock")
ASIDE = Path("reports")


def stages(root: Path = Path(), suite: str = "") -> dict[str, Any]:
    """What each stage depended on and what it made, by its name; none where there is no lock.

    Args:
        suite: whose stages there are beside those of the active one.
    """
    return _read(_aside(suite, root)) | _read(root / LOCK)


def switch(new: Suite, suites: Iterable[Suite], root: Path = Path()) -> None:
    """Make ``dvc.lock`` the record of one suite, and put aside what it has of the cells of others."""
    here, there = _read(root / LOCK), _read(_aside(new.name, root))
    for other in suites:
        recorded = _of_suite(other, here)
        if other.name != new.name and any(_item(name) in other.all_cells for name in recorded):
            (root / ASIDE).mkdir(exist_ok=True)
            _write(_aside(other.name, root), _read(_aside(other.name, root)) | recorded)
    if here or there:
        _write(root / LOCK, there | _of_suite(new, here))
    _aside(new.name, root).unlink(missing_ok=True)


def outputs(names: Iterable[str], root: Path = Path(), suite: str = "") -> dict[str, str]:
    """The MD5 of each output of some stages by path, as far as they are on record."""
    recorded = stages(root, suite)
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
    last = {f"publish@{suite.name}", f"report@{suite.name}"}
    recorded = {name: stage for name, stage in _of_suite(suite, stages(root)).items() if name not in last}
    if not any(_item(name) in suite.all_cells for name in recorded):
        return ""
    return hashlib.sha256(json.dumps(recorded, sort_keys=True).encode()).hexdigest()


def _of_suite(suite: Suite, recorded: dict[str, Any]) -> dict[str, Any]:
    """The stages that a suite has, of all that are on record."""
    items = {suite.name, *suite.data, *suite.all_cells}
    return {name: stage for name, stage in recorded.items() if name == "code" or _item(name) in items}


def _item(stage: str) -> str:
    """The data set, cell or suite that a stage is of."""
    return stage.partition("@")[2]


def _aside(suite: str, root: Path) -> Path:
    return root / ASIDE / f"{suite}.lock"


def _read(path: Path) -> dict[str, Any]:
    import yaml

    if not path.is_file():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster in C
    try:
        return yaml.load(path.read_text(), Loader=loader)["stages"]
    except (yaml.YAMLError, TypeError, KeyError):  # such as the marks of a merge
        raise ConfigError(f"{path}: is not a lock of DVC's; restore it with: git checkout -- {path}") from None


def _write(path: Path, recorded: dict[str, Any]) -> None:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump({"schema": "2.0", "stages": recorded}, Dumper=dumper, sort_keys=False, allow_unicode=True)
    replace_file(path, text.encode())
