"""One run of the smoke suite, which takes minutes; the tests of the pipeline look at it or copy it."""

import os

import pytest

from flowbench.runtime.warm import VARIABLE, warm
from tests.pipeline.clone import SPY, Clone


@pytest.fixture(scope="session", autouse=True)
def warm_stages(tmp_path_factory):
    """Stages are forks of one process, because each would spend seconds on its imports."""
    notes = {"PYTHONPATH": SPY, "SPY_NOTES": str(tmp_path_factory.mktemp("server"))}
    with warm({**os.environ, **notes}) as environment:
        Clone.warm = {VARIABLE: environment[VARIABLE]}
        yield
        Clone.warm = {}


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Clone:
    """A clone after its first ``dvc repro`` of the smoke suite. To look at: who changes it takes `copy`."""
    clone = Clone.of_working_tree(tmp_path_factory.mktemp("smoke"))
    clone.repro()
    return clone


@pytest.fixture
def copy(smoke, tmp_path) -> Clone:
    """A copy of the finished clone, free to be changed."""
    return smoke.copy(tmp_path)
