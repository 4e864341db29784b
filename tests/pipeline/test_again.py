"""A second clone, another environment and a killed run give the same results, byte for byte."""

import os
import signal
import time

import pytest

from tests.pipeline.clone import PIPELINE, Clone

# An energy, images, and a baseline that scikit-learn fits.
CELLS = ["two_modes-planar", "digits-glow-multi-scale", "moons-gaussian"]
HOST_DEPENDENT = ("timings.json", "train_timings.json")


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_and_the_next_gives_the_same_results(smoke, tmp_path):
    clone = Clone.of_working_tree(tmp_path)
    killed = CELLS[0]
    results = clone.root / "results" / "smoke" / killed

    clone.edit("params.yaml", "&smoke-training {steps: 20,", "&smoke-training {steps: 1000000,")
    process = clone.start("dvc", "repro", f"{PIPELINE}:train@{killed}", start_new_session=True)
    wait_for(lambda: list(results.rglob("trained")), process)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    # Of what dvc.yaml calls an output.
    assert [path for path in results.iterdir() if not path.name.startswith(".unfinished-")] == []

    clone.restore("params.yaml")
    # One processor trains the seeds one after another; libraries may use more threads.
    environment = {"OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "1"}
    clone.repro(*(f"evaluate@{key}" for key in CELLS), env=environment, preexec_fn=use_one_processor)
    assert list(clone.root.rglob(".unfinished-*")) == []

    for key in CELLS:
        again, first = (
            each.files(f"results/smoke/{key}", f"data/{smoke.suite.cells[key].data}", but=HOST_DEPENDENT)
            for each in (clone, smoke)
        )
        assert again.keys() == first.keys()
        assert [name for name in first if again[name] != first[name]] == []


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def use_one_processor():
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
