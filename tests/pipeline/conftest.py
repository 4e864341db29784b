"""One run of the smoke suite, which takes minutes; the tests of the pipeline look at it or copy it."""

import pytest

from tests.pipeline.clone import Clone


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
