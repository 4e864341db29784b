"""The commit that is checked out."""

from __future__ import annotations

import subprocess


def current_commit() -> str:
    """The commit, with ``-dirty`` if files differ from it; empty outside of a repository."""
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
