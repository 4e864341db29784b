"""The seeds of a cell, side by side on the cores of the machine."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from threadpoolctl import threadpool_limits

_PR_SET_PDEATHSIG = 1
_function: Callable[[int], Any]


def for_each_seed(
    function: Callable[[int], Any], seeds: Iterable[int], device: torch.device, threads: int
) -> dict[int, Any]:
    """``function`` of each seed: in processes of their own on a CPU, one after another on a GPU.

    Seeds do not depend on each other, so the results are the same however many run at once.

    Args:
        function: returns plain numbers; larger things it writes to files.
        threads: CPU threads of each.

    Raises:
        MemoryError: a process was killed, as the kernel does for want of memory.
        RuntimeError: a process ended in another way before its seed was done.
    """
    seeds = list(seeds)
    if device.type != "cpu":
        _limit_threads(threads)
        return {seed: function(seed) for seed in seeds}
    # Somewhat more than there are cores for: they share those, and none idles while the last seed runs alone.
    workers = max(1, min(len(seeds), 2 * len(os.sched_getaffinity(0)) // threads))
    # Forked children need not import torch again. This process must not have computed with several threads
    # before: a thread pool does not survive a fork.
    context = multiprocessing.get_context("fork")
    children: list[BaseProcess] = []
    try:
        with ProcessPoolExecutor(workers, context, _start_child, (function, threads, os.getpid())) as pool:
            try:
                with _interrupts_later():
                    results = pool.map(_call, seeds)
                    children = multiprocessing.active_children()
                return dict(zip(seeds, results, strict=True))
            except KeyboardInterrupt:
                for child in multiprocessing.active_children():
                    child.kill()
                raise
    except BrokenProcessPool:
        # The pool, in its end, has waited for all of them.
        if any(child.exitcode == -signal.SIGKILL for child in children):
            raise MemoryError(f"a process of the seeds {seeds} was killed") from None
        raise RuntimeError(f"a process of the seeds {seeds} ended before it was done") from None


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C in this block counts at its end: in the midst of a fork it would be ignored."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_child(function: Callable[[int], Any], threads: int, parent: int) -> None:
    global _function
    _function = function
    # Ctrl-C ends a child at once, without a word and without a further seed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        # A child must not outlive a parent that was killed, and go on writing beside the next run.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # killed before that call
            os._exit(1)
    _limit_threads(threads)


def _limit_threads(threads: int) -> None:
    """Compute with so many threads whatever the machine has: the order of a sum's terms depends on them."""
    torch.set_num_threads(threads)
    # The baselines' libraries count for themselves: those that are loaded already, and those that will be.
    threadpool_limits(threads)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def _call(seed: int) -> Any:
    return _function(seed)
