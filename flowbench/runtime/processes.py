"""The seeds of a cell, at the same time on the cores of the machine."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from flowbench.runtime.errors import ExpectedError

_PR_SET_PDEATHSIG = 1
_function: Callable[[int], Any]


class ProcessError(ExpectedError):
    """A process was ended from outside, or by a fault of a library, before its seed was done."""


def for_each_seed(
    function: Callable[[int], Any], seeds: Iterable[int], device: torch.device, threads: int
) -> dict[int, Any]:
    """Call ``function`` with each seed: in several processes on a CPU, one after another on a GPU.

    Seeds do not depend on each other, so the results do not depend on the number of processes.

    Args:
        function: returns plain numbers. It writes larger things to files.
        threads: CPU threads of each process.

    Raises:
        MemoryError: a process was killed. The kernel does so when memory runs out.
        KeyboardInterrupt: a process was interrupted.
        ProcessError: a process ended in another way before its seed was done.
    """
    seeds = list(seeds)
    if device.type != "cpu":
        _limit_threads(threads)
        return {seed: function(seed) for seed in seeds}
    # More processes than the cores need: they share the cores, and fewer cores are idle while the last seeds run.
    workers = max(1, min(len(seeds), 2 * len(os.sched_getaffinity(0)) // threads))
    # Forked children need not import torch again. A thread pool does not survive a fork, so this process must not
    # have computed with several threads before.
    context = multiprocessing.get_context("fork")
    children: list[BaseProcess] = []
    try:
        with ProcessPoolExecutor(workers, context, _start_child, (function, threads, os.getpid())) as pool:
            try:
                with _interrupts_later():
                    futures = {seed: pool.submit(_call, seed) for seed in seeds}
                    children = multiprocessing.active_children()
                finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in finished:
                    future.result()  # raises the error of a seed without waiting for the others
                return {seed: future.result() for seed, future in futures.items()}
            except BrokenProcessPool:
                raise
            except BaseException:
                for child in multiprocessing.active_children():
                    child.kill()
                raise
    except BrokenProcessPool:
        # The pool has waited for all of its processes, so each has an exit code.
        codes = [child.exitcode for child in children]
        if -signal.SIGKILL in codes:
            raise MemoryError(f"a process of the seeds {seeds} was killed") from None
        if -signal.SIGINT in codes:  # this process may ignore the signal, as it does under nohup
            raise KeyboardInterrupt from None
        raise ProcessError(f"a process of the seeds {seeds} ended {_reason(codes)}; run the stage again") from None


def _reason(codes: list[int | None]) -> str:
    """Why a process ended, from the exit codes of all; the pool ends those that are left with SIGTERM."""
    code = next((code for code in codes if code and code != -signal.SIGTERM), -signal.SIGTERM)
    return f"with the status {code}" if code > 0 else f"by {signal.Signals(-code).name}"


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Delay Ctrl-C until the block ends, because a fork would ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_child(function: Callable[[int], Any], threads: int, parent: int) -> None:
    global _function
    _function = function
    # Ctrl-C ends a child at once. It prints nothing and starts no other seed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":
        # If the parent is killed, the child must end too, or it would write files while the next run does.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent was killed before that call
            os._exit(1)
    _limit_threads(threads)


def _limit_threads(threads: int) -> None:
    """Use this number of threads on every machine, because the order of the terms in a sum depends on it."""
    torch.set_num_threads(threads)
    # The libraries of the baselines have their own threads. The limit is for libraries that are loaded, and the
    # variables are for those that are loaded later.
    threadpool_limits(threads)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}


def _call(seed: int) -> Any:
    return _function(seed)
