"""What git holds of a file."""

import subprocess
from pathlib import Path


def committed(path: str, root: Path = Path()) -> str:
    """The text of a file at the last commit; empty if it was not there, or if there is no commit or no git."""
    command = ["git", "show", f"HEAD:./{path}"]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, UnicodeDecodeError, subprocess.CalledProcessError):
        return ""
