"""What git holds of a file."""

import subprocess
from pathlib import Path


def committed(path: str, root: Path = Path(), revision: str = "HEAD") -> str:
    """The text of a file at a commit; empty if it was not there, or if there is no such commit or no git."""
    command = ["git", "show", "--end-of-options", f"{revision}:./{path}"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, UnicodeDecodeError, subprocess.CalledProcessError):
        return ""
