"""``flowbench new``: what it writes works at once, and it writes all of it or nothing."""

import doctest
import importlib
import json
from pathlib import Path

import pytest

from flowbench import config, data, flows
from flowbench.cell import Cell
from flowbench.cli import new
from flowbench.config import suites
from flowbench.core import Event
from flowbench.training.cell import CellTraining
from tests.cli.commands import edit, run, written


def added(before: dict[str, bytes], name: str) -> list[str]:
    """The lines that are new in a file; that the others stay as they were is asserted."""
    old, new = before[name].decode().splitlines(), Path(name).read_text(encoding="utf-8").splitlines()
    found = [line for line in new if line not in old]
    assert [line for line in new if line not in found] == old
    return found


@pytest.mark.parametrize(
    ("kind", "package", "name", "cell"),
    [("flow", "flows", "my_radial", "moons-my_radial"), ("data", "data", "rings", "rings-affine")],
)
def test_it_is_green_at_once(kind, package, name, cell):
    run("expand", "smoke")
    before = written()
    known = list(getattr(config.load(), package))
    result = run("new", kind, name)
    assert result.exit_code == 0, result.output
    assert f"flowbench run {cell} --suite smoke\n" in result.output
    changed = {path for path, content in written().items() if content != before.get(path)}
    listings = {"stages/data.yaml"} if kind == "data" else set()
    own = f"plugins/{package}/{name}.py"
    assert changed == {own, "params.yaml", "suites/smoke.yaml", "suites/smoke/cells.json"} | listings
    assert len(added(before, "params.yaml")) == len(added(before, "suites/smoke.yaml")) == 1
    assert list(getattr(config.load(), package)) == [*known, name]
    assert suites.load_fresh("smoke", config.load()).cells.keys() >= {cell}

    module = importlib.import_module(f"flowbench.{package}.{name}")
    assert (Path(module.__file__), module.__doc__.partition(":")[0]) == (Path(own).absolute(), name)
    examples = doctest.testmod(module)
    assert examples.attempted > 0
    assert examples.failed == 0
    checked = run("check", name, "--points", "2")
    assert checked.exit_code == 0, checked.output
    assert "ok\n" in checked.output
    if kind == "flow":
        assert set(config.load().flows[name]) == {"plane", "table"}
        assert flows.build(name, Event((5,)), {}).sample(2).shape == (2, 5)  # each option has a default

    resolved = Cell.resolve("smoke", cell)
    data.save(resolved.source, resolved.data_folder)
    CellTraining(resolved).run()
    record = json.loads(Path("results/smoke", cell, "trained/training.json").read_text(encoding="utf-8"))
    assert {seed["status"] for seed in record["seeds"].values()} == {"finished"}


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [
        ("flow", "glow", "NAME = 'glow': there is a flow of this name; choose another"),
        ("data", "moons", "NAME = 'moons': there is a data set of this name; choose another"),
        ("flow", "class", "NAME = 'class': is a word of Python's; choose another"),
        ("flow", "2d", "NAME = '2d': choose lower-case letters, digits and _, beginning with a letter"),
        ("flow", "Radial", "NAME = 'Radial': choose lower-case letters"),
        ("data", "my-rings", "NAME = 'my-rings': choose lower-case letters"),
        ("data", "_rings", "NAME = '_rings': choose lower-case letters"),
        ("flow", "true", "NAME = 'true': is no name"),
        ("flow", "../radial", "NAME = '../radial': is no name"),
        ("flow", "größe", "NAME = 'größe': is no name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(fail, kind, name, line):
    before = written()
    assert fail("new", kind, name).startswith(line)
    assert written() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("params.yaml", "data:\n", "data: &all\n", "params.yaml: add to data by hand: rings: {train: "),
        (
            "suites/smoke.yaml",
            "-without-pictures: [affine]}",
            "-without: [affine]}",
            "suites/smoke.yaml: cells.0.budgets",
        ),
        ("params.yaml", "  affine:\n    plane: {}\n", "", "suites/smoke.yaml: cells.0.budgets"),
    ],
    ids=["another layout", "a mistake in the suite", "no flow for it"],
)
def test_all_of_it_or_nothing(fail, file, old, new, line):
    edit(Path(file), old, new)
    before = written()
    assert fail("new", "data", "rings").startswith(line)
    assert written() == before


def test_an_entry_comes_behind_the_last_one():
    file = Path("file.yaml")
    file.write_text("a:\n  one: 1 # x\n\n  # y\n\n# b\nb: # z\n- 1\n- 2\n", encoding="utf-8")
    new._insert(file, "a", "two: 2")
    new._insert(file, "b", "- 3")
    assert file.read_text(encoding="utf-8") == "a:\n  one: 1 # x\n  two: 2\n\n  # y\n\n# b\nb: # z\n- 1\n- 2\n- 3\n"
