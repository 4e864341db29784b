"""The page of a suite that nobody has run."""

from tests import fake_results
from tests.report.made_up import read, reported


def test_a_suite_of_which_nothing_has_been_run_has_a_page(tmp_path):
    (tmp_path / "results").mkdir()
    empty = reported(tmp_path, fake_results.suite({"moons-nice": ("moons", "nice")}))
    assert "**Not run yet:** no cell of this suite has a result.\n" in empty.markdown
    assert "<b>Not run yet:</b> no cell of this suite has a result.</p>" in empty.raw
    assert "best" not in empty.markdown.partition("## What the numbers mean")[0]
    assert read(empty.folder / "results.csv") == []


def test_data_of_which_nothing_has_been_run_show_what_papers_report(tmp_path):
    (tmp_path / "results").mkdir()
    cells = {"power-maf": ("power", "maf"), "power-gaussian": ("power", "gaussian"), "moons-maf": ("moons", "maf")}
    empty = reported(tmp_path, fake_results.suite(cells))
    rows = {row[0]: row[1:3] for row in empty.html.rows if len(row) == 6}
    assert rows["MAF (5)"] == ["not run", "-0.034 ± 0.002"]
    assert rows["Gaussian"] == ["not run", "1.861 ± 0.005"]
    assert rows["RQ-NSF (AR)"] == ["–", "-0.159 ± 0.002"]
    assert "| MAF (5) | not run | -0.034 ± 0.002 |" in empty.markdown
    assert "### moons\n" in empty.markdown
