"""Workers on this machine: each has cores of its own, and a process with torch loaded that stages are forked from."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowbench.runtime.warm import for_stages, warm
from flowbench.sweep import Task
from flowbench.sweep.entries import SWEEPS

# A worker that is killed, as by the kernel when memory runs out, has its task tried again.
_TRIES = 2
# The folder of the private clones, below that of the suite's sweep.
ATTEMPTS = "attempts"


@dataclass(frozen=True)
class Event:
    """Something that happened to a task: it has ``begun``, is ``done``, or has ``failed``.

    Attributes:
        log: what DVC and the stages printed.
        status: of DVC where it failed, as a process ends with it.
    """

    kind: str
    task: Task
    log: Path
    status: int = 0


def shares(workers: int) -> list[set[int]]:
    """The cores of each worker. Where there are more workers than cores, some share one."""
    cores = sorted(os.sched_getaffinity(0))
    return [set(cores[i::workers]) or {cores[i % len(cores)]} for i in range(workers)]


def run(root: Path, tasks: Sequence[Task], commit: str, cache: Path, workers: int) -> Iterator[Event]:
    """Run tasks in their order, and yield what happens.

    If the iterator is closed, or this process ends, all that was started ends too.

    Args:
        root: of the repository.
        commit: that is checked out there.
        cache: the folder of DVC's cache.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
    running: set[subprocess.Popen[bytes]] = set()
    stopped = threading.Event()

    def work(cores: set[int]) -> None:
        try:
            os.sched_setaffinity(0, cores)  # of this thread, and of the processes that it starts
            with warm(for_stages() | {"TQDM_DISABLE": "1"}) as environment:
                while not stopped.is_set():
                    try:
                        task = waiting.get_nowait()
                    except queue.Empty:
                        break
                    events.put(_try(task, environment))
        except BaseException as error:  # the one who waits for events must hear of it
            events.put(error)
        finally:
            events.put(None)

    def _try(task: Task, environment: Mapping[str, str]) -> Event:
        place = root / SWEEPS / task.suite.name
        log, folder = place / "logs" / f"{task.keys[0]}.log", place / ATTEMPTS / task.keys[0]
        log.parent.mkdir(parents=True, exist_ok=True)
        asked = {
            "root": str(root),
            "folder": str(folder),
            "cache": str(cache),
            "suite": task.suite.name,
            "keys": task.keys,
            "commit": commit,
        }
        events.put(Event("begun", task, log))
        status = 0
        for _ in range(_TRIES):
            with (
                log.open("wb") as file,
                subprocess.Popen(
                    [sys.executable, "-m", "flowbench.sweep.attempt", json.dumps(asked)],
                    cwd=root,
                    env=environment,
                    stdin=subprocess.PIPE,  # which ends when this process does
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                ) as process,
            ):
                running.add(process)
                status = process.wait()
                running.discard(process)
            if status >= 0 or stopped.is_set():
                break
        return Event("failed" if status else "done", task, log, status)

    threads = [threading.Thread(target=work, args=[cores]) for cores in shares(workers)]
    for thread in threads:
        thread.start()
    try:
        left = len(threads)
        while left:
            if (event := events.get()) is None:
                left -= 1
            elif isinstance(event, BaseException):
                raise event
            else:
                yield event
    finally:
        stopped.set()
        for process in list(running):
            if process.stdin:
                process.stdin.close()
        for thread in threads:
            thread.join()
