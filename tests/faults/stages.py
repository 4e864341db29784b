"""The project's stages on tiny cells, each in a process of its own.

Those that compute run in a fork of the tests' process, which has imported torch and all else already: the same code
with the same signals, and seconds less. Those of MLflow start as DVC starts them in `warm`.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from stages import _run
from tests import warm

FORKED = ("train", "evaluate", "download")


def heed() -> None:
    """Let Ctrl-C count: what a shell starts in the background ignores it, and so do the tests then."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Forked:
    """A function in a fork, in a session of its own; it is used as a `subprocess.Popen`."""

    def __init__(self, function: Callable[[], None]):
        self.returncode: int | None = None
        output, inside = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(output)
            _be(function, inside)
        os.close(inside)
        self._output = os.fdopen(output, encoding="utf-8", errors="replace")

    def poll(self) -> int | None:
        """The exit status, if it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def communicate(self) -> tuple[str, None]:
        """All that it prints; waits until it and its children have closed their outputs."""
        with self._output:
            text = self._output.read()
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return text, None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def _be(function: Callable[[], None], output: int) -> None:
    """Go on as a process that runs ``function`` alone and ends as Python would."""
    status = 1
    try:
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        logging.getLogger().handlers.clear()  # those of pytest show nothing here
        sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        try:
            function()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1 if end.code else 0
            if isinstance(end.code, str):
                print(end.code)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
    finally:
        os._exit(status)


def start(
    root: Path,
    stage: str,
    *arguments: str,
    env: dict[str, str] | None = None,
    prepare: Callable[[], None] = heed,
) -> Forked | subprocess.Popen:
    """``python -m stages.<stage>`` in ``root``, which holds ``params.yaml``; its outputs as one text.

    ``prepare`` is called in the new process first.
    """
    if stage not in FORKED:
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", *arguments],
            cwd=root,
            env=os.environ | warm.server() | (env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=prepare,
        )

    def main() -> None:
        prepare()
        os.environ.update(env or {})
        os.chdir(root)
        sys.argv = [stage, *arguments]
        _run.run(importlib.import_module(f"stages.{stage}").main)

    return Forked(main)


def run(root: Path, stage: str, *arguments: str, succeeds: bool = True, **options) -> str:
    """What a stage prints; that it succeeds, or fails, is asserted."""
    process = start(root, stage, *arguments, **options)
    output, _ = process.communicate()
    assert (process.returncode == 0) == succeeds, f"{stage}: {process.returncode}\n{output}"
    return output


def complaint(root: Path, stage: str, *arguments: str, **options) -> str:
    """The one line that a stage ends with which fails; what else it prints are bars of progress."""
    output = run(root, stage, *arguments, succeeds=False, **options)
    lines = [line for line in output.splitlines() if line and "step/s" not in line]
    assert len(lines) == 1, output
    return lines[0]
