"""A stage that is interrupted or killed leaves nothing half-done, and the next ends as one that was left alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowbench.evaluation.cell import CellEvaluation
from flowbench.training import cell as training_cell
from flowbench.training import checkpoints as training_checkpoints
from flowbench.training.cell import CellTraining
from tests import tiny_cells
from tests.faults import stages
from tests.tiny_cells import ENERGY

CELL = "tiny", ENERGY
FOLDER = Path("results", *CELL)


def eager() -> None:
    """A checkpoint at each row of the history."""
    stages.heed()
    training_cell.CHECKPOINT_SECONDS = 0.0
    training_checkpoints._SHARE = 1.0


@pytest.fixture(scope="module")
def undisturbed(tiny, tmp_path_factory) -> Path:
    """A cell trained and measured without a fault."""
    root = tiny.copy(tmp_path_factory.mktemp("undisturbed") / "copy")
    tiny_cells.edit(root, "steps: 30,", "steps: 300,")
    cell = tiny_cells.resolve(root, ENERGY)
    CellTraining(cell).run()
    CellEvaluation(cell).run()
    return root


@pytest.fixture
def untrained(undisturbed, tmp_path) -> Path:
    without_results = shutil.ignore_patterns("results", ".cache")
    return shutil.copytree(undisturbed, tmp_path / "copy", symlinks=True, ignore=without_results)


@pytest.fixture
def trained(undisturbed, untrained) -> Path:
    """The same before it was measured."""
    measured = shutil.ignore_patterns("seeds.csv", "log_prob", "metrics.json", "timings.json", "pictures")
    shutil.copytree(undisturbed / "results", untrained / "results", ignore=measured)
    return untrained


def results(root: Path) -> dict[str, bytes]:
    """What the cell left, without its timings."""
    return tiny_cells.steady(root / "results")


def finished(root: Path) -> set[str]:
    """What has a final name."""
    return {path.name for path in (root / FOLDER).glob("*") if not path.name.startswith(".unfinished-")}


def unfinished(root: Path) -> list[Path]:
    """What a stage is writing, or left when it was killed."""
    return list((root / FOLDER).glob(".unfinished-*/*"))


def checkpoints(root: Path) -> list[Path]:
    return list(Path(root, ".cache", "training", *CELL).glob("*/*/[!.]*.safetensors"))


def end(process: stages.Forked, number: int) -> str:
    """Send a signal to the whole group, as a terminal does; what the process printed. It ends soon."""
    os.killpg(process.pid, number)
    began = time.monotonic()
    output, _ = process.communicate()
    assert time.monotonic() - began < 15
    return output


def wait_for(condition: Callable[[], object], process: stages.Forked) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def test_ctrl_c_while_training_ends_it_soon_and_the_next_goes_on(undisturbed, untrained, survived):
    process = stages.start(untrained, "train", *CELL, prepare=eager)
    wait_for(lambda: checkpoints(untrained), process)
    output = end(process, signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not list((untrained / FOLDER).iterdir())
    assert "went on after step" in stages.run(untrained, "train", *CELL)
    stages.run(untrained, "evaluate", *CELL)
    assert results(untrained) == results(undisturbed)
    survived("kills")


def in_the_background() -> None:
    """As a shell starts a command there: it ignores interrupts."""
    eager()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.slow
def test_an_interrupted_group_that_was_started_in_the_background_ends_and_the_next_goes_on(
    undisturbed, untrained, survived
):
    process = stages.start(untrained, "train", *CELL, prepare=in_the_background)
    wait_for(lambda: checkpoints(untrained), process)
    output = end(process, signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert not list((untrained / FOLDER).iterdir())
    assert "went on after step" in stages.run(untrained, "train", *CELL)
    stages.run(untrained, "evaluate", *CELL)
    assert results(untrained) == results(undisturbed)
    survived("kills")


@pytest.mark.slow
def test_ctrl_c_while_measuring_ends_it_soon(undisturbed, trained, survived):
    before = finished(trained)
    process = stages.start(trained, "evaluate", *CELL)
    wait_for(lambda: unfinished(trained), process)
    output = end(process, signal.SIGINT)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert finished(trained) == before
    assert not unfinished(trained)
    stages.run(trained, "evaluate", *CELL)
    assert results(trained) == results(undisturbed)
    survived("kills")


@pytest.mark.parametrize(
    "whole_group",
    [pytest.param(True, marks=pytest.mark.slow, id="all processes"), pytest.param(False, id="the first process")],
)
def test_a_killed_measurement_leaves_nothing_half_done(whole_group, undisturbed, trained, survived):
    before = finished(trained)
    process = stages.start(trained, "evaluate", *CELL)
    wait_for(lambda: unfinished(trained), process)
    if whole_group:
        end(process, signal.SIGKILL)
    else:
        process.kill()
        process.communicate()  # which ends when the children have closed their outputs
    assert finished(trained) == before
    stages.run(trained, "evaluate", *CELL)
    assert not list(trained.rglob(".unfinished-*"))
    assert results(trained) == results(undisturbed)
    survived("kills")


SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])


@pytest.mark.slow
@SIGNALS
def test_ten_ends_of_a_training_at_random_moments_change_nothing(number, undisturbed, untrained, survived):
    moments = random.Random(0)
    for _ in range(10):
        there, left = set(checkpoints(untrained)), set(unfinished(untrained))
        process = stages.start(untrained, "train", *CELL, prepare=eager)
        wait_for(lambda left=left: set(unfinished(untrained)) - left, process)
        # Counted in checkpoints, since machines differ: before the first, or soon after one of the next.
        wanted = moments.randrange(4)
        wait_for(lambda there=there, wanted=wanted: len(set(checkpoints(untrained)) - there) >= wanted, process)
        time.sleep(moments.uniform(0, 0.01))
        output = end(process, number)
        assert process.returncode in (130, -number)
        assert "Traceback" not in output
        assert not finished(untrained)
    last = max(int(path.name.partition("-")[0]) for path in checkpoints(untrained))
    assert f"went on after step {last:,}" in stages.run(untrained, "train", *CELL)
    stages.run(untrained, "evaluate", *CELL)
    assert not list(untrained.rglob(".unfinished-*"))
    assert results(untrained) == results(undisturbed)
    survived("kills", 10)


@pytest.mark.slow
@SIGNALS
def test_ten_ends_of_a_measurement_at_random_moments_change_nothing(number, undisturbed, trained, survived):
    before, moments, took = finished(trained), random.Random(0), seconds_of_measuring(undisturbed)
    for _ in range(10):
        left = set(unfinished(trained))
        process = stages.start(trained, "evaluate", *CELL)
        wait_for(lambda left=left: set(unfinished(trained)) - left, process)
        time.sleep(moments.uniform(0, took / 2))
        output = end(process, number)
        assert process.returncode in (130, -number)
        assert "Traceback" not in output
        assert finished(trained) == before
    stages.run(trained, "evaluate", *CELL)
    assert not list(trained.rglob(".unfinished-*"))
    assert results(trained) == results(undisturbed)
    survived("kills", 10)


def seconds_of_measuring(root: Path) -> float:
    """How long a measurement takes from its first trace on."""
    process = stages.start(root, "evaluate", *CELL)
    wait_for(lambda: unfinished(root), process)
    began = time.monotonic()
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return time.monotonic() - began
