"""A disk that is full or read-only ends a stage with one line; once that is mended, the same comes, byte for byte.

The disks are mounted by the tests, which a machine may forbid; then these are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from flowbench.training.checkpoints import Checkpoints
from tests import fake_results, tiny_cells
from tests.faults import stages
from tests.faults.disks import Disk, disk_at
from tests.tiny_cells import BASELINE, ENERGY, VECTORS

CELL = "tiny", ENERGY
FOLDER = Path("results", *CELL)


@pytest.fixture
def undisturbed(tiny) -> dict[str, bytes]:
    """What the cell leaves on a disk with room."""
    return tiny_cells.steady(tiny.measured(ENERGY))


@pytest.fixture
def root(tiny, tmp_path) -> Path:
    """A copy in which nothing has been trained."""
    return tiny.copy(tmp_path / "copy")


@pytest.fixture
def results(root) -> Iterator[Disk]:
    with disk_at(root / "results") as disk:
        yield disk


def steady(root: Path) -> dict[str, bytes]:
    """What the cell left, without its timings."""
    return tiny_cells.steady(root / FOLDER)


@pytest.mark.slow
def test_training_goes_on_without_room_for_checkpoints(undisturbed, root, survived):
    with disk_at(root / ".cache") as disk:
        disk.fill()
        output = stages.run(root, "train", *CELL)
        warnings = [
            line for line in output.splitlines() if "cannot write a checkpoint, No space left on device" in line
        ]
        assert len(warnings) == 2  # one for each seed
        assert all(f".cache/training/tiny/{ENERGY}/" in line for line in warnings)
        assert not [name for name in disk.names() if "seed" in name]
        stages.run(root, "evaluate", *CELL)
    assert steady(root) == undisturbed
    survived("faults")


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(tmp_path, capfd, survived):
    with disk_at(tmp_path / "disk") as disk:
        checkpoints = Checkpoints(disk.path / "seed-0", 0.0)
        tensors = {"weight": torch.randn(5000, generator=torch.Generator().manual_seed(0))}
        checkpoints.save(10, tensors, {})
        disk.fill(leave=8192)
        for step in (20, 30):
            checkpoints.save(step, tensors, {})
        assert checkpoints.load()[0] == 10
        assert len(disk.names()) == 2  # the folder and its one file
        assert capfd.readouterr().err.count("cannot write a checkpoint, No space left on device") == 1
        disk.free()
        checkpoints.save(40, tensors, {})
        step, found, _ = checkpoints.load()
        assert step == 40
        assert torch.equal(found["weight"], tensors["weight"])
    survived("faults")


# In bytes: nothing, less than the weights of a seed, and less than all.
@pytest.mark.parametrize(
    "room", [0, pytest.param(4096, marks=pytest.mark.slow), pytest.param(16384, marks=pytest.mark.slow)]
)
def test_results_without_room_are_one_line_and_no_half_ones(room, undisturbed, root, results, survived):
    results.fill(leave=room)
    line = stages.complaint(root, "train", *CELL)
    assert line == f"{FOLDER}: No space left on device; once that is mended, run it again"
    assert set(results.names()) <= {"tiny", f"tiny/{ENERGY}"}
    results.free()
    output = stages.run(root, "train", *CELL)
    assert "went on after step 30" in output  # trained once
    stages.run(root, "evaluate", *CELL)
    assert steady(root) == undisturbed
    survived("faults")


@pytest.mark.slow
def test_measurements_without_room_are_one_line_and_no_half_ones(undisturbed, root, results, survived):
    stages.run(root, "train", *CELL)
    before = results.names()
    for room in (0, 16384):
        results.fill(leave=room)
        line = stages.complaint(root, "evaluate", *CELL)
        assert line == f"{FOLDER}: No space left on device; once that is mended, run it again"
        assert results.names() == before
        results.free()
    stages.run(root, "evaluate", *CELL)
    assert steady(root) == undisturbed
    survived("faults", 2)


def test_data_without_room_are_one_line_and_no_half_ones(tiny, tmp_path, survived):
    tiny_cells.configure(tmp_path)
    with disk_at(tmp_path / "data") as disk:
        disk.fill(leave=4096)
        line = stages.complaint(tmp_path, "download", "gaussian")
        assert line.startswith("data/gaussian: ")
        assert "No space left on device" in line
        assert disk.names() == []
        disk.free()
        stages.run(tmp_path, "download", "gaussian")
        assert tiny_cells.contents(disk.path / "gaussian") == tiny_cells.contents(tiny.root / "data" / "gaussian")
    survived("faults")


@pytest.fixture
def made_up(tmp_path) -> Path:
    """A folder with results of a whole suite, and a store beside them."""
    tiny_cells.configure(tmp_path)
    suite = fake_results.suite({VECTORS: ("gaussian", "affine"), BASELINE: ("gaussian", "gaussian")})
    fake_results.write(tmp_path / "results" / "tiny", suite)
    return tmp_path


@pytest.mark.slow
def test_runs_without_room_are_one_line_and_come_once_there_is(made_up, survived):
    with disk_at(made_up / "store") as disk:
        uri = f"sqlite:///{disk.path / 'mlflow.db'}"
        env = {"MLFLOW_TRACKING_URI": uri}
        disk.fill(leave=100_000)
        line = stages.complaint(made_up, "publish", "tiny", "--partial", env=env)
        assert line.startswith(f"MLflow at {uri}: ")
        disk.free()
        (disk.path / "mlflow.db").unlink(missing_ok=True)
        stages.run(made_up, "publish", "tiny", "--partial", env=env)
        disk.fill()
        with (made_up / "results" / "tiny" / VECTORS / "seeds.csv").open("a", encoding="utf-8") as file:
            file.write("0,parameters,7.0,,1\n")
        line = stages.complaint(made_up, "publish", "tiny", "--partial", env=env)
        assert line.startswith(f"MLflow at {uri}: database or disk is full; ")
        disk.free()
        stages.run(made_up, "publish", "tiny", "--partial", env=env)
        stages.run(made_up, "report", "tiny", env=env)
    survived("faults", 2)


@pytest.mark.slow
@pytest.mark.parametrize("options", ["ro", "size=64k"])
def test_a_report_that_cannot_be_written_is_one_line_and_comes_later(options, made_up, survived):
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{made_up / 'mlflow.db'}"}
    stages.run(made_up, "publish", "tiny", "--partial", env=env)
    with disk_at(made_up / "reports") as disk:
        disk.remount(options)
        line = stages.complaint(made_up, "report", "tiny", env=env)
        reason = "Read-only file system" if options == "ro" else "No space left on device"
        assert line == f"reports/tiny: {reason}; once that is mended, run it again"
        assert set(disk.names()) <= {"tiny"}
        disk.remount("rw,size=8m")
        stages.run(made_up, "report", "tiny", env=env)
        assert {"tiny/README.md", "tiny/index.html", "tiny/results.csv"} <= set(disk.names())
    survived("faults")
