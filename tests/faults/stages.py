"""The project's stages, run as DVC runs them, on tiny cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

WORKING_TREE = Path(__file__).parents[2]


def start(
    root: Path,
    stage: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    program: str | None = None,
    **options: Any,
) -> subprocess.Popen:
    """``python -m stages.<stage>`` in ``root``, which holds ``params.yaml``; its outputs as one text.

    ``program`` runs in its place, if there is one.
    """
    environment = os.environ | {"PYTHONPATH": str(WORKING_TREE)} | (env or {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "preexec_fn": heed} | options
    code = ["-c", program] if program else ["-m", f"stages.{stage}"]
    return subprocess.Popen([sys.executable, *code, *arguments], cwd=root, env=environment, **options)


def heed() -> None:
    """Let Ctrl-C count: what a shell starts in the background ignores it, and so do the tests then."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(root: Path, stage: str, *arguments: str, succeeds: bool = True, **options: Any) -> str:
    """What a stage prints; that it succeeds, or fails, is asserted."""
    process = start(root, stage, *arguments, **options)
    output, _ = process.communicate()
    assert (process.returncode == 0) == succeeds, f"{stage}: {process.returncode}\n{output}"
    return output


def complaint(root: Path, stage: str, *arguments: str, **options: Any) -> str:
    """The one line that a stage ends with which fails; what else it prints are bars of progress."""
    output = run(root, stage, *arguments, succeeds=False, **options)
    lines = [line for line in output.splitlines() if line and "step/s" not in line]
    assert len(lines) == 1, output
    return lines[0]
