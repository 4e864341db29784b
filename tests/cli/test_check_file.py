"""``flowbench check`` of a flow's file from anywhere, and of data."""

from pathlib import Path

import pytest

from flowbench.cli import new
from tests.cli.commands import ROOT, edit, run

TEMPLATE = Path(new.__file__).with_name("templates") / "flows.py.txt"


@pytest.fixture
def file() -> Path:
    """A flow that works, in a folder that flowbench knows nothing of."""
    file = Path("elsewhere", "my_radial.py")
    file.parent.mkdir()
    file.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    return file


def test_a_file_from_anywhere_is_certified(file):
    Path("params.yaml").unlink()
    result = run("check", str(file), "--options", "{layers: 2, hidden: [4]}", "--points", "2")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines() if line.endswith(" ok")] == ["my_radial/options"] * 2


def test_the_configurations_of_params_yaml_are_taken(file, params):
    edit(params, "flows:\n", "flows:\n  my_radial: {plane: {layers: 1, hidden: [4]}}\n")
    assert "my_radial/plane on vectors" in run("check", str(file), "--points", "2").output


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("log_scale.sum(1)\n", "-log_scale.sum(1)\n", "encode's log-determinant: expected "),
        ("def build(", "def bild(", "my_radial.py: add build(event, *, ...)"),
        ("import torch\n", "import torch torch\n", "my_radial.py:5: SyntaxError: "),
    ],
)
def test_a_file_that_is_wrong_fails(file, old, new, line):
    edit(file, old, new)
    result = run("check", str(file), "--options", "{layers: 2, hidden: [4]}", "--points", "2")
    assert result.exit_code == 1
    assert "FAILED" in result.output
    assert line in result.output


def test_options_that_are_missing_are_named(file):
    edit(file, "hidden: tuple[PositiveInt, ...] = (64, 64)", "hidden: tuple[PositiveInt, ...]")
    edit(file, "layers: PositiveInt = 4, hidden", "layers: PositiveInt, hidden")
    result = run("check", str(file), "--options", "{layers: 2}")
    assert result.exit_code == 1
    assert "    --options.hidden: is missing\n" in result.output


def test_the_name_of_a_built_in_flow_is_refused(file):
    result = run("check", str(file.rename(file.with_name("glow.py"))))
    assert result.exit_code == 1
    assert "several plug-ins are called glow: " in result.output


def test_the_file_of_a_flow_that_is_known_is_that_flow(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert "affine/plane on vectors" in run("check", "flowbench/flows/affine.py", "--points", "2").output


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.py"], "none.py: there is no such file"),
        (["my-flow.py"], "my-flow.py: call the file by the flow's name"),
        (["my_radial.py", "--options", "["], "--options = '[': must be as in params.yaml"),
        (["my_radial.py", "--options", "{1: 2}"], "--options = '{1: 2}': must be as in params.yaml"),
    ],
)
def test_what_cannot_be_checked_is_one_line(fail, arguments, line):
    for name in ("my-flow.py", "my_radial.py"):
        Path(name).write_text("", encoding="utf-8")
    assert fail("check", *arguments).startswith(line)


def test_data_is_made_as_a_download_does(params):
    edit(params, "  two_modes: {train: 1000,", "  mine: {source: table, path: mine.csv}\n  two_modes: {train: 10,")
    assert run("check", "two_modes").output == "two_modes: ok\n"
    result = run("check", "mine")
    assert result.exit_code == 1
    assert result.output.startswith("mine: FAILED\n    ")
    assert "mine.csv" in result.output
    assert not Path("data").exists()
