"""What may happen to DVC: two runs at once, a run that is interrupted, a damaged cache."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from flowbench.records import lock
from flowbench.runtime.files import md5
from tests.faults import stages
from tests.pipeline.clone import PIPELINE, SMOKE, Clone
from tests.tiny_cells import TIMINGS

pytestmark = pytest.mark.slow  # stages of a real pipeline

KEY = "gaussian-affine"
FOLDER = f"results/{SMOKE}/{KEY}"
TRAIN, EVALUATE = (f"{PIPELINE}:{step}@{KEY}" for step in ("train", "evaluate"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Clone:
    """A clone in which one cell has been trained and measured."""
    clone = Clone.of_working_tree(tmp_path_factory.mktemp("undisturbed"))
    clone.dvc("repro", EVALUATE)
    return clone


@pytest.fixture
def finished(undisturbed, tmp_path) -> Clone:
    return undisturbed.copy(tmp_path)


@pytest.fixture
def untrained(finished) -> Clone:
    """The same before the cell was trained, with nothing of it in DVC's cache."""
    shutil.rmtree(finished.root / "results")
    shutil.rmtree(finished.root / ".dvc" / "cache")
    finished.dvc("commit", "--force", "stages/dvc.yaml:code", "stages/dvc.yaml:download@gaussian")
    return finished


def results(clone: Clone) -> dict[str, str]:
    return clone.files("results", but=TIMINGS)


def assert_clean(clone: Clone) -> None:
    for stage in (TRAIN, EVALUATE):
        assert "up to date" in clone.dvc("status", stage)
    assert not list(clone.root.rglob(".unfinished-*"))


def wait_for_training(clone: Clone, process) -> None:
    while not list((clone.root / "results").rglob(".unfinished-*/trained")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize("option", ["--quiet", "--wait-for-lock"])
def test_of_two_runs_at_once_one_gives_way_and_the_results_are_whole(option, undisturbed, untrained, survived):
    both = [untrained.start("dvc", option, "repro", EVALUATE) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert 0 in [process.returncode for process in both], outputs
    for process, output in zip(both, outputs, strict=True):
        assert "Traceback" not in output
        # A second run may wait for the repository's lock, but not for that of a stage which the first is running.
        assert process.returncode == 0 or "Unable to acquire lock" in output or "being blocked by" in output, output
    untrained.dvc("repro", EVALUATE)
    assert_clean(untrained)
    assert results(untrained) == results(undisturbed)
    survived("faults")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_an_interrupted_run_leaves_nothing_half_done(number, undisturbed, untrained, survived):
    untrained.edit("params.yaml", "train: {steps: 20,", "train: {steps: 1000000,")
    process = untrained.start("dvc", "repro", TRAIN, start_new_session=True, preexec_fn=stages.heed)
    wait_for_training(untrained, process)
    time.sleep(1)
    os.killpg(process.pid, number)
    began = time.monotonic()
    output, _ = process.communicate()
    assert time.monotonic() - began < 15
    assert process.returncode
    assert "Traceback" not in output
    folder = untrained.root / FOLDER
    assert [path for path in folder.iterdir() if not path.name.startswith(".unfinished-")] == []
    untrained.restore("params.yaml")
    untrained.dvc("repro", EVALUATE)
    assert_clean(untrained)
    assert results(untrained) == results(undisturbed)
    survived("kills")


def test_a_result_that_is_damaged_in_the_cache_is_not_published(undisturbed, finished, survived):
    path = f"{FOLDER}/metrics.json"
    digest = recorded(finished)[path]
    cache = finished.root / ".dvc" / "cache"
    damage(cached(cache, digest))
    (finished.root / path).unlink()
    # DVC believes what bears the mode of its cache.
    finished.dvc("repro", EVALUATE)
    assert results(finished) != results(undisturbed)
    line = publish(finished, succeeds=False).strip()
    assert line.startswith(f"{path}: is not the file that suites/smoke/dvc.lock has on record; ")
    # As the line says.
    assert str(cached(cache, digest).relative_to(cache)) in line
    cached(cache, digest).unlink()
    (finished.root / path).unlink()
    finished.dvc("repro", EVALUATE)
    assert results(finished) == results(undisturbed)
    publish(finished)
    assert_clean(finished)
    survived("faults")


def test_weights_that_are_damaged_in_the_cache_are_not_published(undisturbed, finished, survived):
    path = f"{FOLDER}/trained"
    cache = finished.root / ".dvc" / "cache"
    weights = finished.root / path / "seed-0.safetensors"
    damaged, listed = (cached(cache, one) for one in (md5(weights), recorded(finished)[path]))
    damage(damaged)
    shutil.rmtree(weights.parent)
    finished.dvc("checkout", TRAIN)
    line = publish(finished, succeeds=False).strip()
    assert line.startswith(f"{path}: is not the folder that suites/smoke/dvc.lock has on record; ")
    # As the line says.
    assert str(listed.relative_to(cache)) in line
    for one in json.loads(listed.read_text(encoding="utf-8")):
        cached(cache, one["md5"]).unlink()
    listed.unlink()
    shutil.rmtree(weights.parent)
    finished.dvc("repro", EVALUATE)
    assert results(finished) == results(undisturbed)
    assert_clean(finished)
    survived("faults")


def recorded(clone: Clone) -> dict[str, str]:
    """The MD5 of each output of the cell, by path."""
    return lock.outputs(clone.suite, [f"train@{KEY}", f"evaluate@{KEY}"], clone.root)


def cached(cache: Path, digest: str) -> Path:
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def damage(path: Path) -> None:
    """Flip a bit in the midst of a file, which keeps its mode."""
    mode, content = path.stat().st_mode, bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


def publish(clone: Clone, **options) -> str:
    return clone.python("from stages import publish; publish.run(publish.main)", SMOKE, "--partial", **options)
