"""``dvc.lock``: what DVC has on record of each stage's outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import yaml

from flowbench.config import ConfigError

LOCK = Path("dvc.lock")


def outputs(stages: Iterable[str], root: Path = Path()) -> dict[str, str]:
    """The MD5 of each output of some stages by path, as far as they are on record."""
    if not (root / LOCK).is_file():
        return {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster in C
    recorded = yaml.load((root / LOCK).read_text(), Loader=loader)["stages"]
    return {out["path"]: out["md5"] for stage in stages for out in recorded.get(stage, {}).get("outs", [])}


def check(keys: Iterable[str], root: Path = Path()) -> None:
    """Compare the files with the numbers of some cells with the record; pictures and weights are not looked at.

    DVC believes what lies in its cache, and restores a damaged file as if it were whole.

    Raises:
        ConfigError: a file is not the one on record.
    """
    steps = ("train", "train_student", "evaluate", "evaluate_student")
    for path, digest in outputs([f"{step}@{key}" for key in keys for step in steps], root).items():
        if (root / path).is_file() and md5(root / path) != digest:
            cached = f"files/md5/{digest[:2]}/{digest[2:]}"
            raise ConfigError(
                f"{path}: is not the file that {LOCK} has on record; remove it and {cached} in the folder that "
                "`dvc cache dir` names, which is damaged if nobody edited the file, then run `dvc repro`"
            )


def md5(path: Path) -> str:
    """In hexadecimal, as DVC has it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
