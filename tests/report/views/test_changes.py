"""What a page tells of the report before, and that it tells the same each time that it is made."""

import shutil
from pathlib import Path

from flowbench.records.committed import committed
from flowbench.report.views import page
from tests import fake_results
from tests.pipeline.clone import git
from tests.report.made_up import reported, written

CALM = {
    "moons-nice": ("moons", "nice"),
    "moons-gaussian": ("moons", "gaussian"),
    "two_modes-planar": ("two_modes", "planar"),
}
WORSE = {"moons-nice": {"bits_per_dim": [3.0, 3.001, 3.002]}}


def test_changes_are_told_from_the_last_report_that_is_not_the_same(tmp_path, quick):
    suite = fake_results.suite(CALM)
    first = written(tmp_path, suite)
    assert "There is no earlier report to compare with." in first.markdown
    assert not (first.folder / "previous.csv").exists()
    csv = (first.folder / "results.csv").read_text(encoding="utf-8")
    second = written(tmp_path, suite, earlier=[csv, ""], values=WORSE)
    row = next(line for line in second.markdown.splitlines() if line.startswith("| moons · nice | bits per dim |"))
    assert row.endswith("| 3.001 | worse |")
    assert (second.folder / "previous.csv").read_text(encoding="utf-8") == csv
    now = (second.folder / "results.csv").read_text(encoding="utf-8")
    other = reported(tmp_path, fake_results.suite({key: CALM[key] for key in list(CALM)[:2]}), earlier=[now, csv])
    assert "Gone: two_modes-planar." in other.markdown


def test_a_report_made_again_is_the_same_after_commits_and_in_a_clone_without_history(tmp_path, quick):
    root, suite = tmp_path / "here", fake_results.suite(CALM)
    root.mkdir()
    git(root, "init", "--quiet")

    def commit():
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", "all")

    def made(root):
        """As DVC does it: the folder is gone before the report is made."""
        shutil.rmtree(root / "report", ignore_errors=True)
        earlier = [committed(f"report/{name}", root) for name in (page.RESULTS, page.PREVIOUS)]
        found = reported(root, suite, earlier=earlier)
        return {path.relative_to(root): path.read_bytes() for path in found.folder.rglob("*") if path.is_file()}

    fake_results.write(root / "results", suite)
    first = made(root)
    commit()
    assert made(root) == first
    fake_results.write(root / "results", suite, values=WORSE)
    second = made(root)
    assert b"worse" in second[Path("report/README.md")]
    assert made(root) == second, "before it is committed"
    commit()
    assert made(root) == second
    (root / "another").touch()
    commit()
    assert made(root) == second
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", root.as_uri(), str(clone))
    assert made(clone) == second
