"""``flowbench sweep``: what several workers make is what ``dvc repro`` makes, whatever is killed."""

import os
import signal
import time
from pathlib import Path

import pytest

from flowbench.config import documents
from tests.pipeline.clone import SMOKE, Clone

# Light ones, and a student with its teacher.
CELLS = ("gaussian-affine", "gaussian_1d-affine", "moons-maf", "moons-iaf_distilled", "moons-nice")
# What depends on how busy the machine is.
TIMES = ("timings.json", "train_timings.json")


def forget(clone: Clone) -> None:
    """Make as if some cells had never been run."""
    path = clone.root / "suites" / SMOKE / "dvc.lock"
    from dvc.utils.serialize import dumps_yaml

    content = documents.read(path)
    content["stages"] = {
        name: stage for name, stage in content["stages"].items() if name.partition("@")[2] not in CELLS
    }
    path.write_text(dumps_yaml(content), encoding="utf-8")
    clone.run("rm", "-rf", ".dvc/cache/runs", *(f"results/{SMOKE}/{key}" for key in CELLS))


def recorded(clone: Clone) -> dict[str, list]:
    """What the lock has of the cells, but for their times."""
    stages = documents.read(clone.root / "suites" / SMOKE / "dvc.lock")["stages"]
    return {
        name: [
            stage["cmd"],
            stage["deps"],
            stage["params"],
            [o for o in stage["outs"] if not o["path"].endswith(TIMES)],
        ]
        for name, stage in stages.items()
        if "@" in name
    }


def living(clone: Clone) -> list[str]:
    """The processes that work in a private clone."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if ".cache/sweep" in (where := os.readlink(link)) and where.startswith(str(clone.root)):
                found.append(where)
        except OSError:  # it has ended, or is another's
            continue
    return found


def assert_whole(clone: Clone, serial: Clone) -> None:
    assert recorded(clone) == recorded(serial)
    names = [f"results/{SMOKE}/{key}" for key in CELLS]
    assert clone.files(*names, but=TIMES) == serial.files(*names, but=TIMES)
    assert clone.changed() == set()
    assert not living(clone)


def test_a_sweep_leaves_what_a_serial_run_does(copy, smoke):
    forget(copy)
    told = copy.flowbench("sweep", SMOKE, "--dry-run")
    assert "4 tasks of the 13 cells of smoke, on " in told
    assert not (copy.root / ".cache" / "sweep" / SMOKE / "attempts").exists()
    # A driver that is killed loses no cell that is whole.
    driver = copy.start("python", "-c", "from flowbench.cli import main; main()", "sweep", SMOKE, "--workers", "2")
    for line in driver.stdout:
        if "done: " in line:
            driver.kill()
            break
    driver.communicate()
    deadline = time.monotonic() + 20
    while living(copy) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not living(copy)
    left = int(copy.flowbench("sweep", SMOKE, "--dry-run").split(" tasks of the 13 cells")[0].splitlines()[-1])
    assert 0 < left < 4
    told = copy.flowbench("sweep", SMOKE, "--workers", "2")
    assert f"{left} of {left} tasks done after " in told
    assert_whole(copy, smoke)
    assert "All 13 cells of smoke are up to date.\n" in copy.flowbench("sweep", SMOKE)


@pytest.mark.slow
def test_a_flow_that_fails_is_named_and_the_others_are_kept(copy, smoke):
    forget(copy)
    copy.edit("flowbench/flows/nice.py", "    if ", "    raise RuntimeError('on purpose')\n    if ")
    copy.commit()
    told = copy.flowbench("sweep", SMOKE, succeeds=False)
    assert "moons-nice ended with the status " in told
    assert "on purpose" in told
    assert "failed: moons-nice; the other cells are kept, and the same command goes on" in told
    copy.git("reset", "--quiet", "--hard", "HEAD~1")
    copy.flowbench("sweep", SMOKE)
    assert_whole(copy, smoke)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.5, 2.0, 4.0, 6.0, 8.0, 10.0])
@pytest.mark.parametrize("whom", ["driver", "worker"])
def test_whoever_is_killed_whenever_no_cell_is_lost(copy, smoke, moment, whom):
    forget(copy)
    driver = copy.start("python", "-c", "from flowbench.cli import main; main()", "sweep", SMOKE, "--workers", "2")
    time.sleep(moment)
    if whom == "driver":
        driver.kill()
    else:
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = status.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"flowbench.sweep.attempt" in words and str(copy.root).encode() in status.read_bytes():
                os.kill(int(status.parent.name), signal.SIGKILL)
                break
    driver.communicate()
    copy.flowbench("sweep", SMOKE)
    assert_whole(copy, smoke)
