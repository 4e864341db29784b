"""``flowbench report``."""

from pathlib import Path

from typer.testing import CliRunner

from flowbench import cli, config
from flowbench.config import ConfigError
from flowbench.report.views import page
from tests.report.made_up import ROOT


def test_a_report_becomes_one_file_or_one_line_says_that_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "load_here", lambda: config.load(ROOT / "params.yaml"))
    monkeypatch.setattr("flowbench.config.suites.SUITES", ROOT / "suites")
    monkeypatch.chdir(tmp_path)
    missing = CliRunner().invoke(cli.app, ["report", "toy", "--single-file", "page.html"]).exception
    assert isinstance(missing, ConfigError)
    assert str(missing).startswith("reports/toy: there is no report yet; run dvc repro")
    folder = Path("reports", "toy")
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<p>π</p>", encoding="utf-8")
    assert CliRunner().invoke(cli.app, ["report", "toy", "--single-file", "page.html"]).exit_code == 0
    assert Path("page.html").read_text(encoding="utf-8") == "<p>π</p>"


def test_a_page_and_what_it_shows_become_one_file(tmp_path):
    text = '<p>π</p><img src="figures/a%20b.png"><script src="../s.js" defer></script>'
    (tmp_path / "one" / "figures").mkdir(parents=True)
    (tmp_path / "one" / "index.html").write_text(text, encoding="utf-8")
    (tmp_path / "one" / "figures" / "a b.png").write_bytes(b"picture")
    (tmp_path / "s.js").write_text("'</script>'", encoding="utf-8")
    inside = "<script>'<\\/script>'</script>"
    assert page.single_file(tmp_path / "one") == f'<p>π</p><img src="data:image/png;base64,cGljdHVyZQ==">{inside}'
