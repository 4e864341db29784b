"""The commit that made a result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# DVC rewrites locks and reports while it runs, and the values of the configuration are on record.
_IGNORED = (":!*dvc.lock", ":!reports", ":!params.yaml", ":!suites", ":!*cells.json", ":!stages/data.yaml")
_CODE = ("flowbench", "plugins", "stages")


def current_commit(root: Path) -> str:
    """The commit that is checked out in ``root``, with ``-dirty`` if files differ from it.

    A file that git does not track counts if it lies in a folder of code. Locks, configurations and
    reports do not count. The result is empty outside of a repository, and also if git refuses, which is then said
    on stderr.
    """
    if not any((folder / ".git").exists() for folder in (root.absolute(), *root.absolute().parents)):
        return ""
    try:
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *_IGNORED)
        changes += _git(root, "ls-files", "--others", "--exclude-standard", "--", *_CODE)
        return _git(root, "rev-parse", "--verify", "HEAD") + ("-dirty" if changes else "")
    except OSError as error:
        reason = f"git: {error.strerror}"
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
    print(f"{root.absolute()}: the commit is not recorded, because git refuses: {reason}", file=sys.stderr)
    return ""


def _git(root: Path, *command: str) -> str:
    run = subprocess.run(
        ["git", *command], cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=True
    )
    return run.stdout.strip()
