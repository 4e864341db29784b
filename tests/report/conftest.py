"""Cells that are made up, for the tests of tables."""

import pytest

from flowbench.report.views import figures
from tests import fake_results
from tests.report.made_up import FAMILIES, MOONS, OPTIONS, scope


@pytest.fixture
def made(tmp_path):
    """A function that makes up cells, each with values by metric."""

    def make(cells=MOONS, **options):
        return scope(tmp_path, cells, **options)

    return make


@pytest.fixture(scope="session")
def families(tmp_path_factory):
    """Cells of every family on one data set."""
    return scope(tmp_path_factory.mktemp("families"), FAMILIES, flow=OPTIONS)


@pytest.fixture(scope="module")
def quick():
    """Figures that take no time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("training", "tradeoff", "evaluations"):
            patch.setattr(figures, name, lambda path, *_, **__: path.write_bytes(fake_results.PIXEL))
        yield
