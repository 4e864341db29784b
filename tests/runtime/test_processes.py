import multiprocessing
import os
import signal
import sys
import time

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.processes import _start_child, for_each_seed

CPU = torch.device("cpu")


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_each_seed_has_its_result_in_a_process_of_its_own_making(monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    results = for_each_seed(lambda seed: (seed**2, os.getpid(), torch.get_num_threads()), [3, 1, 2], CPU, threads=1)
    assert [(seed, square) for seed, (square, _, _) in results.items()] == [(3, 9), (1, 1), (2, 4)]
    assert os.getpid() not in {pid for _, pid, _ in results.values()}
    assert {threads for _, _, threads in results.values()} == {1}
    assert len({pid for _, pid, _ in results.values()}) <= 2 * cores


def test_every_library_computes_with_the_threads_that_are_asked_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # for libraries that are loaded later
    with threadpool_limits(2):
        pools, later = for_each_seed(lambda _: (threadpool_info(), os.environ["OMP_NUM_THREADS"]), [0], CPU, threads=1)[
            0
        ]
    assert {pool["num_threads"] for pool in pools} == {1}
    assert later == "1"


def test_no_seeds_at_all():
    assert for_each_seed(lambda seed: seed, [], CPU, threads=1) == {}


def test_elsewhere_than_on_a_cpu_one_follows_the_other_in_this_process():
    assert for_each_seed(lambda seed: os.getpid(), [0, 1], torch.device("meta"), threads=1) == dict.fromkeys(
        (0, 1), os.getpid()
    )


def test_an_error_is_that_of_the_seed():
    with pytest.raises(ZeroDivisionError):
        for_each_seed(lambda seed: 1 / seed, [1, 0], CPU, threads=1)


def test_a_killed_process_is_one_without_memory():
    with pytest.raises(MemoryError, match=r"a process of the seeds \[0, 1\] was killed"):
        for_each_seed(lambda seed: os.kill(os.getpid(), signal.SIGKILL), [0, 1], CPU, threads=1)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "by SIGTERM"),
        (lambda: os.kill(os.getpid(), signal.SIGUSR1), "by SIGUSR1"),
        (lambda: os._exit(3), "with the status 3"),
        (lambda: os._exit(0), "by SIGTERM"),  # those of the other processes, which the pool ends
    ],
)
def test_a_process_that_ends_in_another_way_is_an_expected_error_that_says_so(end, reason, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})  # two processes
    with pytest.raises(ExpectedError) as error:
        for_each_seed(lambda seed: time.sleep(60) if seed else end(), [0, 1], CPU, threads=1)
    assert str(error.value) == f"a process of the seeds [0, 1] ended {reason}; run the stage again"


def test_a_group_that_is_interrupted_is_so_even_if_this_process_ignores_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt):
            for_each_seed(lambda seed: os.kill(os.getpid(), signal.SIGINT), [0, 1], CPU, threads=1)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_starts_no_further_seed(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})

    def interrupted(seed):
        (tmp_path / str(seed)).touch()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        for_each_seed(interrupted, [0, 1, 2], CPU, threads=2)  # one process
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end the children of a killed parent")
@pytest.mark.parametrize(("parent", "exit_code"), [(os.getpid, 0), (lambda: -1, 1)], ids=["alive", "killed"])
def test_a_child_whose_parent_was_killed_before_it_began_ends_at_once(parent, exit_code):
    child = multiprocessing.get_context("fork").Process(target=_start_child, args=(print, 1, parent()))
    child.start()
    child.join(30)
    assert child.exitcode == exit_code


def test_the_error_of_one_seed_does_not_wait_for_the_others():
    def function(seed: int) -> int:
        if seed == 2:
            raise ValueError("seed 2 is wrong")
        time.sleep(60)
        return seed

    began = time.monotonic()
    with pytest.raises(ValueError, match="seed 2 is wrong"):
        for_each_seed(function, [0, 1, 2], torch.device("cpu"), 1)
    assert time.monotonic() - began < 30
