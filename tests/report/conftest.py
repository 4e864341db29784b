import pytest

from flowbench.report import page
from tests import fake_results
from tests.report.pages import CELLS


@pytest.fixture
def report(tmp_path):
    """A function that writes a report of made-up results, and returns its folder."""

    def write(cells=CELLS, about=None, change=lambda results: None, digests=None, **options):
        suite = fake_results.suite(cells)
        suite = suite.model_copy(update={"about": about}) if about else suite
        fake_results.write(tmp_path / "results", suite, **options)
        change(tmp_path / "results")
        page.write(tmp_path / "results", suite, tmp_path / "report", digests)
        return tmp_path / "report"

    return write
