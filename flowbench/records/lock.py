"""``dvc.lock``: DVC's record of each stage of the active suite; ``reports/<suite>.lock`` keep those of others.

DVC reads and writes the whole lock at each stage, so the cells of other suites would slow every run.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowbench.config import PARAMS, ConfigError, Suite
from flowbench.runtime.files import md5, md5_of_folder, replace_file

LOCK = Path("dvc.lock")
ASIDE = Path("reports")


def stages(root: Path = Path(), suite: str | None = None) -> dict[str, Any]:
    """What each stage depended on and what it made, by its name; none where there is no lock.

    Args:
        suite: whose stages there are beside those of the active one.
    """
    return (_read(_aside(suite, root)) if suite else {}) | _read(root / LOCK)


def switch(new: Suite, suites: Iterable[Suite], root: Path = Path()) -> None:
    """Make ``dvc.lock`` the record of one suite, and put aside what it has of others that have been run."""
    here, there = _read(root / LOCK), _read(_aside(new.name, root))
    put_aside: set[str] = set()
    for other in suites:
        recorded = _of_suite(other, here)
        if other.name != new.name and any(_item(name) in other.all_cells for name in recorded):
            (root / ASIDE).mkdir(exist_ok=True)
            _write(_aside(other.name, root), _read(_aside(other.name, root)) | recorded)
            put_aside |= recorded.keys()
    kept = {name: stage for name, stage in here.items() if name not in put_aside} | _of_suite(new, here)
    if here or there:
        _write(root / LOCK, there | kept)
    _aside(new.name, root).unlink(missing_ok=True)


def check_active(suite: Suite, root: Path = Path()) -> None:
    """See that ``dvc.lock`` is the record of a suite, which it is not where ``active`` was edited by hand.

    Raises:
        ConfigError: the suite's record lies aside, and DVC would run all of its cells again.
    """
    if (aside := _aside(suite.name, root)).exists():
        raise ConfigError(
            f"{PARAMS}: active: {LOCK} is the record of another suite, and {aside.relative_to(root)} that of "
            f"{suite.name}; put it in place with: flowbench suite {suite.name}"
        )


def outputs(names: Iterable[str], root: Path = Path(), suite: str | None = None) -> dict[str, str]:
    """The MD5 of each output of some stages by path, as far as they are on record."""
    recorded = stages(root, suite)
    return {out["path"]: out["md5"] for name in names for out in recorded.get(name, {}).get("outs", [])}


def check(keys: Iterable[str], root: Path = Path()) -> None:
    """Compare the files and folders of some cells, such as numbers, weights and pictures, with the record.

    DVC believes what lies in its cache, and restores a damaged file as if it were whole.

    Raises:
        ConfigError: a file or a folder is not the one on record.
    """
    steps = ("train", "train_student", "evaluate", "evaluate_student")
    for name, wanted in outputs([f"{step}@{key}" for key in keys for step in steps], root).items():
        path, cached = root / name, f"files/md5/{wanted[:2]}/{wanted[2:]}"
        if not path.exists():
            continue
        kind, found = ("folder", md5_of_folder(path)) if path.is_dir() else ("file", md5(path))
        if found != wanted:
            whole = f"{cached} with the files that it lists" if kind == "folder" else cached
            raise ConfigError(
                f"{name}: is not the {kind} that {LOCK} has on record; remove it and {whole} in the folder that "
                f"`dvc cache dir` names, which is damaged if nobody edited the {kind}, then run `dvc repro`"
            )


def digest(suite: Suite, root: Path = Path()) -> str:
    """SHA-256 of all that the lock says of a suite's data and cells, as JSON; empty if it has none of its cells.

    What comes after them is left out, as no report could hold its own digest, and so is the stage that lists the code:
    it changes with every file, and each cell's entry has the digests of the lists that concern it.
    """
    rest = {"code", f"publish@{suite.name}", f"report@{suite.name}"}
    recorded = {name: stage for name, stage in _of_suite(suite, stages(root)).items() if name not in rest}
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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.is_file():
        return {}
    try:
        recorded = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["stages"]
    except (YAMLError, UnicodeDecodeError, TypeError, KeyError):
        recorded = None
    if not isinstance(recorded, dict):  # such as a file with the marks of a merge
        raise ConfigError(f"{path}: is no lock of DVC's; take one side of a merge, restore it with git or remove it")
    return recorded


def _write(path: Path, recorded: dict[str, Any]) -> None:
    """As DVC does, to the byte, so that its next change shows in git as just that."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    text = io.StringIO()
    yaml.dump({"schema": "2.0", "stages": recorded}, text)
    replace_file(path, text.getvalue().encode())
