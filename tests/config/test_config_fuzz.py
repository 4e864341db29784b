"""Whatever stands in ``params.yaml``, it is read, or refused in one line that names the file."""

import copy
import math
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flowbench import config
from flowbench.config import ConfigError, Params, documents

ROOT = Path(__file__).parents[2]
GOOD = documents.read(ROOT / "params.yaml")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from([0, -1, 2**70, 1e400, math.nan, "", "moons", "../x", "__import__('os')", "<script>"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | SCALARS, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "params.yaml"


def dump(document: Any) -> str:
    """A document as YAML."""
    text = StringIO()
    YAML(typ="safe").dump(document, text)
    return text.getvalue()


def read(path: Path, text: str) -> Params | None:
    """What is read of a text; nothing where it is refused as it should be."""
    path.write_text(text, encoding="utf-8")
    try:
        return config.load(path)
    except ConfigError as error:
        message = str(error)
    assert "params.yaml" in message
    assert len(message.splitlines()) == 1
    return None


# What PyYAML reads and then stumbles over, and what JSON does.
STUMBLING = [
    "2026-13-45",
    "0x_",
    "0b_",
    "!!bool x",
    "!!int ''",
    "!!timestamp x",
    "9" * 5000,
    f"0x{'f' * 5000}",
    "&a [*a]",
    "&a {b: *a}",
    '"\\uD800"',
    "[" * 400 + "]" * 400,
    "[" * 3000 + "]" * 3000,
    "- " * 3000 + "x",
]


def with_examples(test):
    """A test that also has each of these as the value of a key, at the top and in a place that takes anything."""
    for value in STUMBLING:
        test = example(text=value)(example(text=f"data: {{moons: {{noise: {value}}}}}")(test))
    return test


UNHURRIED = settings(suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@with_examples
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text(path, survived, text):
    assert read(path, text) is None
    survived("inputs")


@UNHURRIED
@given(document=DOCUMENTS)
def test_any_document(path, survived, document):
    assert read(path, dump(document)) is None
    survived("inputs")


def places(node: Any, way: tuple = ()) -> list[tuple]:
    """The ways to all values within a document."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [one for key, child in children for one in ((*way, key), *places(child, (*way, key)))]


PLACES = places(GOOD)


@UNHURRIED
@given(place=st.sampled_from(PLACES), value=DOCUMENTS, remove=st.booleans())
def test_one_wrong_value_in_a_good_document(path, survived, place, value, remove):
    document = copy.deepcopy(GOOD)
    node = document
    for key in place[:-1]:
        node = node[key]
    if remove:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    if (found := read(path, dump(document))) is not None:
        assert found.budgets.keys() == document["budgets"].keys()
    survived("inputs")


@UNHURRIED
@given(place=st.sampled_from([place for place in PLACES if isinstance(place[-1], str)]), name=st.text(max_size=8))
def test_one_wrong_name_in_a_good_document(path, survived, place, name):
    document = copy.deepcopy(GOOD)
    node = document
    for key in place[:-1]:
        node = node[key]
    node[name] = node.pop(place[-1])
    read(path, dump(document))
    survived("inputs")
