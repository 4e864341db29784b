"""Cells of suites on several workers at once. DVC stays the truth: what a sweep leaves is what `dvc repro` would.

A worker makes a cell in a private clone, with DVC, whose cache is that of the repository. When the cell is whole, its
entries of ``dvc.lock`` are published as one file. The driver alone writes the lock, from whole cells. So whatever is
killed, and whenever: a cell is there, or it is not. The same sweep again goes on with what is left.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowbench.config import ConfigError, Suite
from flowbench.records.commit import current_commit
from flowbench.runtime.errors import ExpectedError

# What a clone takes from the last commit, beside the code.
_CONFIGURATION = ("params.yaml", "suites", "*cells.json", "stages")


class SweepError(ExpectedError):
    """A sweep cannot begin, or cells of it failed; the message says why."""


@dataclass(frozen=True)
class Task:
    """Cells that one worker makes in turn: one, or a teacher and the students that are stale as well.

    Attributes:
        suite: theirs.
        keys: a teacher stands before its students.
        seconds: about how long it takes; ``None`` where nothing tells.
    """

    suite: Suite
    keys: tuple[str, ...]
    seconds: float | None = None

    @property
    def stages(self) -> list[str]:
        """The stages of the cells, each behind what it needs."""
        return [self.suite.stage(step, key) for key in self.keys for step in ("train", "evaluate")]

    @property
    def label(self) -> str:
        """The cells, as messages name them."""
        return " and ".join(self.keys)


def tasks(suite: Suite, seconds: Mapping[str, float | None]) -> list[Task]:
    """The tasks that make some cells of a suite.

    Args:
        seconds: of each stale cell, about. A teacher that is not stale takes none, as DVC restores it.
    """
    groups: dict[str, list[str]] = {}
    for key in seconds:
        students = groups.setdefault(suite.cells[key].teacher or key, [])
        if suite.cells[key].teacher:
            students.append(key)
    found = []
    for first, students in groups.items():
        keys = (first, *students)
        known = [one for key in keys if (one := seconds.get(key, 0.0)) is not None]
        found.append(Task(suite, keys, sum(known) if len(known) == len(keys) else None))
    return found


def longest_first(tasks: Iterable[Task]) -> list[Task]:
    """Those without a time before all others, since they may be the longest."""
    return sorted(tasks, key=lambda task: -task.seconds if task.seconds is not None else -float("inf"))


def makespan(tasks: Sequence[Task], workers: int) -> float:
    """Seconds until the last worker is done, if each takes the next task when it is free. Unknown times count 0."""
    ends = [0.0] * workers
    for task in tasks:
        ends.sort()
        ends[0] += task.seconds or 0.0
    return max(ends)


def require_committed(root: Path) -> str:
    """The commit that the clones are made of.

    Raises:
        SweepError: there is none, or the working tree differs from it in code or configuration.
    """
    commit = current_commit(root)
    if not commit:
        raise SweepError(f"{root}: a sweep clones the repository, and git knows none here")
    changed = _git(root, "status", "--porcelain", "--", *_CONFIGURATION, ":!*dvc.lock").splitlines()
    if commit.endswith("-dirty") or changed:
        changed = changed or _git(root, "status", "--porcelain", "--", ".", ":!*dvc.lock", ":!reports").splitlines()
        names = ", ".join(line[3:] for line in changed[:5]) + (", …" if len(changed) > 5 else "")
        raise SweepError(f"a sweep runs what is committed, and the working tree differs: {names}; commit or stash that")
    return commit


def _git(root: Path, *command: str) -> str:
    run = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ConfigError(f"git: {' '.join(run.stderr.split())}")
    return run.stdout
