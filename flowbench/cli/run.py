"""``flowbench run``: cells by DVC, with the progress of all."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli import plan
from flowbench.cli.arguments import SuiteOption, cells_of, complete_cells, duration, load_suite
from flowbench.config import ConfigError, Suite, suites
from flowbench.runtime.reproduction import BEGUN, CHATTER, SKIPPED
from flowbench.runtime.warm import for_stages, warm


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CELL|FLOW|DATA",
            help="Cells; a flow or a data set stands for all of its cells.",
            show_default=False,
            autocompletion=complete_cells,
        ),
    ] = None,
    suite: SuiteOption = suites.DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="All cells of the suite, and then its report.")] = False,
) -> None:
    """Train and measure cells: what has changed, and only that.

    DVC runs them. Each line says which stage runs, how many cells are done, and how much is left by the times on
    record.
    """
    params = config.load_here()
    if every == bool(names):
        raise ConfigError("run: name cells, flows or data sets, or say --all")
    found = load_suite(suite, params, expanded=True)
    keys = list(found.cells) if every else cells_of(found, names or [])
    progress = Progress(found, plan.plan(found, params, keys))
    print(progress.summary, flush=True)
    if not progress.stale and not every:
        return
    targets = [str(found.folder / suites.PIPELINE)] if every else [found.stage("evaluate", key) for key in keys]
    began = time.monotonic()
    status = _reproduce(targets, progress)
    print(f"{progress.done} after {duration(time.monotonic() - began)}", flush=True)
    if status:
        print("dvc repro failed, as it says above; what is done is kept", file=sys.stderr)
        raise typer.Exit(1)


class Progress:
    """How far DVC is with some cells.

    Args:
        suite: theirs.
        work: what was left to do of each.
    """

    def __init__(self, suite: Suite, work: dict[str, plan.Work]):
        self._cells = {suite.stage(step, key): (step, key) for key in work for step in ("train", "evaluate")}
        self._work = work
        self.stale = {key for key, one in work.items() if one.stages}
        self._trained: set[str] = set()
        self._measured = work.keys() - self.stale
        self._measuring = ""

    @property
    def summary(self) -> str:
        """What there is to do."""
        if not self.stale:
            return f"{_cells(len(self._work))}, all up to date"
        return f"{_cells(len(self._work))}, {len(self.stale)} to run: {self._left}"

    @property
    def done(self) -> str:
        """How many cells are done."""
        return f"{len(self._measured)} of {_cells(len(self._work))} done"

    @property
    def _left(self) -> str:
        left = {key: self._work[key] for key in self.stale - self._measured}
        return plan.total(replace(one, training=0.0) if key in self._trained else one for key, one in left.items())

    def read(self, line: str) -> str | None:
        """What to show for a line of DVC's; ``None`` for nothing."""
        if begun := BEGUN.match(line):
            self._finish()
            step, key = self._cells.get(begun[1], ("", ""))
            if step == "evaluate":
                self._trained.add(key)
                self._measuring = key
            stage = begun[1].rpartition(":")[2]
            return f"{stage} ({self.done}, {self._left})" if self.stale - self._measured else stage
        if skipped := SKIPPED.match(line):
            self._finish()
            step, key = self._cells.get(skipped[1], ("", ""))
            if step:
                (self._trained if step == "train" else self._measured).add(key)
            return None
        return None if CHATTER.match(line) else line

    def end(self) -> None:
        """DVC has ended without an error, so that the last stage is done."""
        self._finish()

    def _finish(self) -> None:
        if self._measuring:
            self._measured.add(self._measuring)
        self._measuring = ""


def _cells(number: int) -> str:
    return f"{number} cell{'s' * (number != 1)}"


def _reproduce(targets: list[str], progress: Progress) -> int:
    """Run `dvc repro`, show how far it is, and return its status."""
    # Each line should come when it is written.
    with warm({**for_stages(), "PYTHONUNBUFFERED": "1"}) as environment:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *targets],
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        return _follow(process, progress)


def _follow(process: subprocess.Popen[str], progress: Progress) -> int:
    """Show how far a process of DVC is, and return its status."""
    assert process.stdout
    with process.stdout:
        try:
            for line in process.stdout:
                if (shown := progress.read(line.rstrip("\n"))) is not None:
                    print(shown, flush=True)
        except (KeyboardInterrupt, BrokenPipeError):
            # DVC has received Ctrl-C as well, and tidies up. It goes on where only the reader of its lines is gone.
            process.communicate()
            raise
    if not (status := process.wait()):
        progress.end()
    return status
