"""What git holds of a file from before."""

import subprocess
from pathlib import Path


def committed(root: Path, path: str) -> list[str]:
    """The last two texts that were committed of a file, the newest first; fewer if there are fewer or git refuses."""

    def git(*command: str) -> str:
        run = subprocess.run(["git", *command], cwd=root, capture_output=True, encoding="utf-8", check=True)
        return run.stdout.strip()

    try:
        commits = git("log", "-2", "--format=%H", "--", path).split()
        return [git("show", f"{commit}:./{path}") for commit in commits]
    except (OSError, UnicodeDecodeError, subprocess.CalledProcessError):
        return []
