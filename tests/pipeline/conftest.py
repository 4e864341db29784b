"""One run of the smoke suite, which the tests of the pipeline look at or copy.

It takes minutes, so it starts before the first test and goes on beside those that do not need it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline.clone import Clone


@dataclass(frozen=True)
class Run:
    """``dvc repro`` in a fresh clone, which may not have ended yet."""

    clone: Clone
    process: subprocess.Popen

    @classmethod
    def start(cls) -> "Run":
        clone = Clone.of_working_tree(Path(tempfile.mkdtemp(prefix="flowbench-smoke-")), "smoke")
        with (clone.home / "log").open("w") as log:
            return cls(clone, clone.start("dvc", "repro", stdout=log, start_new_session=True))

    def finish(self) -> Clone:
        assert self.process.wait() == 0, (self.clone.home / "log").read_text()
        return self.clone

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.clone.home)


RUN = pytest.StashKey[Run]()


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: "smoke_run" in item.fixturenames)


def pytest_collection_finish(session):
    if not session.config.option.collectonly and any("smoke_run" in item.fixturenames for item in session.items):
        session.stash[RUN] = Run.start()


def pytest_sessionfinish(session):
    if run := session.stash.get(RUN, None):
        run.end()


@pytest.fixture(scope="session")
def smoke_run(request) -> Run:
    """The first run of the smoke suite."""
    return request.session.stash[RUN]


@pytest.fixture(scope="session")
def smoke(smoke_run) -> Clone:
    """The smoke suite in a clone after its first ``dvc repro``. To look at: who changes it takes `copy`."""
    return smoke_run.finish()


@pytest.fixture
def copy(smoke, tmp_path) -> Clone:
    """A copy of the finished clone, free to be changed."""
    return smoke.copy(tmp_path)
