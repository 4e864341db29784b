"""One run of the smoke suite, which the tests of the pipeline look at or copy."""

import subprocess
from dataclasses import dataclass

import pytest

from tests.pipeline.clone import Clone


@dataclass(frozen=True)
class Run:
    clone: Clone
    process: subprocess.Popen


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """The first ``dvc repro`` of the smoke suite in a fresh clone, which may not have ended yet."""
    import os

    clone = Clone.of_working_tree(tmp_path_factory.mktemp("smoke"), "smoke")
    with (clone.home / "log").open("w") as log:
        process = clone.start("dvc", "repro", stdout=log)
    yield Run(clone, process)
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def smoke(smoke_run) -> Clone:
    """The smoke suite in a clone after its first ``dvc repro``. To look at: who changes it takes `copy`."""
    assert smoke_run.process.wait() == 0, (smoke_run.clone.home / "log").read_text()
    return smoke_run.clone


@pytest.fixture
def copy(smoke, tmp_path) -> Clone:
    """A copy of the finished clone, free to be changed."""
    return smoke.copy(tmp_path)
