"""``flowbench sweep``: all that is stale of some suites, on several workers at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowbench import config
from flowbench.cli import plan
from flowbench.cli.arguments import complete_suite, duration, load_suite
from flowbench.config import ConfigError, Suite, suites
from flowbench.config.suites import PIPELINE

if TYPE_CHECKING:
    from flowbench.sweep import Task
    from flowbench.sweep.pool import Event

# Lines of the log of a cell that failed, in which the reason stands.
_TOLD = 8


def sweep(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SUITE", help="Suites; laptop if left out.", autocompletion=complete_suite),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Cells at once; as many as there are cores if left out.")] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and for how long; run nothing.")
    ] = False,
) -> None:
    """Make all stale cells of some suites, several at once, and then the reports.

    What comes out is what `dvc repro` makes of the last commit, times aside. The cells share the machine, so their
    speeds are those of a busy one. A sweep that was stopped or killed goes on when it is started again. A cell that
    fails does not keep the others from running.
    """
    params = config.load_here()
    found = [load_suite(name, params, expanded=True) for name in names or [suites.DEFAULT]]
    from flowbench import sweep as sweeping
    from flowbench.sweep import entries, pool

    root = Path.cwd()
    workers = workers or plan.cores()
    commit = sweeping.require_committed(root)
    for suite in found:
        if kept := entries.merge(root, suite, commit):
            print(f"{suite.name}: {len(kept)} cells that an earlier sweep has made are taken over", flush=True)
        _restore(suite, kept)
    if not dry_run:
        _make_data(found)
    tasks: list[sweeping.Task] = []
    for suite in found:
        work = plan.plan(suite, params, suite.cells)
        tasks += sweeping.tasks(suite, {key: one.whole for key, one in work.items() if one.stages})
    tasks = sweeping.longest_first(tasks)
    print(_planned(found, tasks, workers), flush=True)
    if dry_run:
        for task in tasks:
            seconds = "no time on record" if task.seconds is None else f"about {duration(task.seconds)}"
            print(f"  {task.suite.name:12} {task.label:54} {seconds}")
        return
    began = time.monotonic()
    failed: list[Event] = []
    made: list[tuple[str, str]] = []
    progress = _Progress(tasks, workers)
    for event in pool.run(root, tasks, commit, _cache(), workers):
        if event.kind == "done":
            made += [(event.task.suite.name, key) for key in entries.merge(root, event.task.suite, commit)]
        elif event.kind == "failed":
            failed.append(event)
            print(_told(event), file=sys.stderr)
        print(progress.line(event), flush=True)
    if tasks:
        done = f"{len(tasks) - len(failed)} of {len(tasks)}"
        print(f"{done} tasks done after {duration(time.monotonic() - began)}", flush=True)
    for suite in found:
        shutil.rmtree(root / entries.SWEEPS / suite.name / pool.ATTEMPTS, ignore_errors=True)
        _restore(suite, [key for name, key in made if name == suite.name])
        if not any(event.task.suite == suite for event in failed):
            _dvc("repro", str(suite.folder / PIPELINE), quiet=True)
            print(f"reports/{suite.name}/index.html")
    if failed:
        names_ = ", ".join(event.task.label for event in failed)
        raise sweeping.SweepError(f"failed: {names_}; the other cells are kept, and the same command goes on")


class _Progress:
    """What stands in the line after each event."""

    def __init__(self, tasks: Sequence[Task], workers: int):
        self._left, self._workers = list(tasks), workers
        self._all = Counter(task.suite.name for task in tasks)
        self._done: Counter[str] = Counter()

    def line(self, event: Event) -> str:
        """The line after an event."""
        from flowbench.sweep import makespan

        name = event.task.suite.name
        if event.kind != "begun":
            self._left.remove(event.task)
            self._done[name] += event.kind == "done"
        told = f"{name}: {self._done[name]} of {self._all[name]} done; {event.kind}: {event.task.label}"
        return f"{told}; {_seconds(makespan(self._left, self._workers), self._left)} left" if self._left else told


def _planned(found: Sequence[Suite], tasks: Sequence[Task], workers: int) -> str:
    from flowbench.sweep import makespan

    cells = sum(len(suite.cells) for suite in found)
    names = " and ".join(suite.name for suite in found)
    if not tasks:
        return f"All {cells} cells of {names} are up to date."
    told = f"{len(tasks)} tasks of the {cells} cells of {names}, on {workers} worker{'s' * (workers != 1)}: "
    return told + _seconds(makespan(tasks, workers), tasks)


def _seconds(known: float, tasks: Sequence[Task]) -> str:
    unknown = sum(task.seconds is None for task in tasks)
    return f"about {duration(known)}" + (f", and {unknown} without a time on record" if unknown else "")


def _told(event: Event) -> str:
    """Why a task failed, as far as the end of its log tells."""
    lines = event.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TOLD:]
    how = f"was killed by signal {-event.status}" if event.status < 0 else f"ended with the status {event.status}"
    return "\n".join([f"{event.task.label} {how} ({event.log}):", *(f"  {line}" for line in lines)])


def _make_data(found: Iterable[Suite]) -> None:
    """List the code and make the data sets, which all cells need."""
    data = dict.fromkeys(name for suite in found for name in suite.data)
    _dvc("repro", *(f"stages/{PIPELINE}:{stage}" for stage in ("code", *(f"download@{name}" for name in data))))


def _restore(suite: Suite, made: Sequence[str]) -> None:
    """Bring the files here of cells that are on record and lie in DVC's cache alone.

    Args:
        made: cells whose files here may be older ones.
    """
    from flowbench.records import lock
    from flowbench.records.files import METRICS_FILE

    recorded = lock.recorded(lock.path_of(suite))
    missing = [key for key in suite.cells if key in made or not (suite.results / key / METRICS_FILE).is_file()]
    stages = [(step, key) for key in missing for step in ("train", "evaluate") if f"{step}@{key}" in recorded]
    if stages:
        # Where the cache has not all of it, a cell is stale, and DVC's complaint tells nothing new.
        command = ["checkout", "--quiet", "--force", *(suite.stage(step, key) for step, key in stages)]
        subprocess.run([sys.executable, "-m", "dvc", *command], stderr=subprocess.DEVNULL, check=False)


def _dvc(*arguments: str, quiet: bool = False) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    run = subprocess.run(command, stdout=subprocess.DEVNULL if quiet else None, check=False)
    if run.returncode:
        raise ConfigError(f"dvc {arguments[0]} failed, as it says above")


def _cache() -> Path:
    from dvc.repo import Repo

    with Repo() as repo:
        return Path(repo.cache.local_cache_dir).absolute()
