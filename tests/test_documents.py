"""What the page on the source documents names is there: cells, pictures, entries of params.yaml, code and tests."""

import ast
import pkgutil
import re
from pathlib import Path

import pytest

from flowbench import config
from flowbench.config import suites
from flowbench.report.views.text import words

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")
PARAMS = config.load(ROOT / "params.yaml")
ROWS = [row.split(" | ") for row in re.findall(r"^\| (?!the note names)(.*) \|$", PAGE, re.MULTILINE)]
NAMED = sorted({name for _, where, *_ in ROWS for name in re.findall("`([^`]+)`", where)})


def is_there(name: str) -> bool:
    path, _, test = name.partition("::")
    if test:
        found = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        return any(isinstance(part, ast.FunctionDef) and part.name == test for part in found)
    if name.endswith(".png"):
        return name.removesuffix(".png") in words("words")["pictures"]
    if "/" in name:
        suite, _, cell = name.partition("/")
        return cell in suites.load(suite, PARAMS, ROOT).cells
    if name.startswith("flowbench."):
        pkgutil.resolve_name(name)
        return True
    found = PARAMS.model_dump()
    for key in name.split("."):
        found = found.get(key, {})
    return bool(found)


@pytest.mark.parametrize("name", NAMED)
def test_what_is_named_is_there(name):
    assert is_there(name)


@pytest.mark.parametrize(
    "name",
    ["toy/moons-nothing", "nothing.png", "budgets.nothing", "tests/test_documents.py::test_nothing", "data.moons.no"],
)
def test_what_is_not_there_is_found_out(name):
    assert not is_there(name)


def test_each_row_names_something():
    assert len(ROWS) > 50
    assert all(len(row) == 3 or row[-1].endswith(" |") for row in ROWS)
    assert [what for what, where, *_ in ROWS if "`" not in where] == []
