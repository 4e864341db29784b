"""The pages that link all suites."""

import shutil

from flowbench.report.frame import CSV_COLUMNS
from flowbench.report.views import page
from tests.report.made_up import ROOT, read


def test_the_index_says_which_reports_an_earlier_version_made(tmp_path):
    """Those of the repository, whose tables show by their columns how old they are."""
    suites = ("laptop", "images", "toy")
    for name in suites:
        (tmp_path / name).mkdir()
        for file in ("README.md", page.RESULTS):
            shutil.copyfile(ROOT / "reports" / name / file, tmp_path / name / file)
    page.write_index(tmp_path, dict.fromkeys(suites, "about"))
    old = {name for name in suites if list(read(tmp_path / name / page.RESULTS)[0]) != CSV_COLUMNS}
    for file in ("README.md", "index.html"):
        lines = (tmp_path / file).read_text(encoding="utf-8").splitlines()
        marked = [line for line in lines if "earlier version of flowbench" in line]
        assert {name for name in suites for line in marked if f"{name}/" in line} == old
