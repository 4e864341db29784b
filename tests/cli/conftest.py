"""What the tests of the command share: a folder with the files that a person edits, and a command that is refused."""

import shutil
import sys
from pathlib import Path

# DVC writes its messages to what is the standard output when it is imported, which must last.
import dvc  # noqa: F401
import pytest

from flowbench import cli, data, flows
from flowbench.config import suites
from tests.cli.commands import ROOT


@pytest.fixture(autouse=True)
def params(tmp_path, monkeypatch) -> Path:
    """The files that a person edits, and the shared pipelines, in the working directory; params.yaml is given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    (tmp_path / "stages").mkdir()
    trials = [str(path.relative_to(ROOT)) for path in ROOT.glob("suites/*.trials.csv")]
    for name in ("params.yaml", "dvc.yaml", *(f"suites/{name}.yaml" for name in suites.names(ROOT)), *trials):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path / "params.yaml"


@pytest.fixture
def fail(monkeypatch, capsys):
    """The single line with which the command refuses its arguments."""

    def refused(*arguments: str) -> str:
        capsys.readouterr()  # what was printed before
        monkeypatch.setattr(sys, "argv", ["flowbench", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == 1
        return output.err

    return refused


@pytest.fixture(autouse=True)
def plugins(tmp_path, monkeypatch):
    """Flows and data of one's own are found in the working directory, and forgotten in the end."""
    before = set(sys.modules)
    for package in (flows, data):
        folder = tmp_path / "plugins" / package.__name__.rpartition(".")[2]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield
    for name in sys.modules.keys() - before:
        if name.startswith(("flowbench.flows.", "flowbench.data.")):
            del sys.modules[name]
