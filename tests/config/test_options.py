"""Limits of options, which are pydantic's in all but the import, and options that come back from a file."""

import math
import subprocess
import sys
from enum import StrEnum
from typing import Annotated, Literal

import pydantic
import pytest
from pydantic import Field

from flowbench import config
from flowbench.config import ConfigError, Within, check_options
from flowbench.config.options import recorded_options

INF = float("inf")


def outcome(kind, value):
    def build(*, option: kind):
        """Takes one option."""

    try:
        return check_options(build, {"option": value}, "x.yaml")
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("value", [-1, 0, 1, 0.0, 0.3, 0.5, -0.1, 1.0, INF, True, "1", None, [], [0], [1, 2]], ids=repr)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *(
            (getattr(config, name), getattr(pydantic, name))
            for name in ("PositiveInt", "NonNegativeInt", "PositiveFloat", "NonNegativeFloat")
        ),
        (Annotated[float, Within(ge=0.3, lt=0.5)] | None, Annotated[float, Field(ge=0.3, lt=0.5)] | None),
        (Annotated[int, Within(gt=-1, le=0)], Annotated[int, Field(gt=-1, le=0)]),
        (
            Annotated[list[config.PositiveInt], Within(min_length=1)],
            Annotated[list[pydantic.PositiveInt], Field(min_length=1)],
        ),
    ],
    ids=str,
)
def test_limits_say_what_those_of_pydantic_say(ours, theirs, value):
    assert outcome(ours, value) == outcome(theirs, value)


def test_limits_limit():
    assert outcome(config.PositiveInt, 0) == "x.yaml: option = 0: input should be greater than 0"
    assert outcome(config.NonNegativeFloat, -0.5) == "x.yaml: option = -0.5: input should be greater than or equal to 0"
    assert outcome(Annotated[list[int], Within(min_length=1)], []).startswith("x.yaml: option = []: list should have")


def test_limits_need_no_pydantic():
    code = "import sys; sys.modules['pydantic'] = None; from flowbench.config import PositiveInt, Within, check_options"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_of_the_package_is_there():
    assert all(getattr(config, name) for name in config.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = config.lode


class Kind(StrEnum):
    PLAIN = "plain"


def as_json_has_them(
    *,
    layers: config.PositiveInt,
    hidden: list[config.PositiveInt] | None = None,
    by_name: dict[str, bool] | None = None,
    prior: Literal["normal", "mixture"] = "normal",
    share: Annotated[float, Within(lt=1)] = 0.5,
):
    """Options whose types JSON has."""


def test_recorded_options_of_such_types_are_taken_without_pydantic(monkeypatch):
    options = {"layers": 2, "hidden": [3], "by_name": {"a": True}, "prior": "mixture"}
    monkeypatch.setitem(sys.modules, "pydantic", None)  # an import of it fails
    assert recorded_options(as_json_has_them, options, "flow.json") == options


@pytest.mark.parametrize(
    ("kind", "recorded", "wanted"),
    [
        (tuple[int, ...], [1, 2], (1, 2)),
        (list[tuple[int, int]], [[1, 2]], [(1, 2)]),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (Kind, "plain", Kind.PLAIN),
        (Annotated[str, pydantic.AfterValidator(Kind)], "plain", Kind.PLAIN),
        (pydantic.PositiveInt, 3, 3),
    ],
    ids=str,
)
def test_recorded_options_of_other_types_are_what_they_were(kind, recorded, wanted):
    def build(*, option: kind):
        """Takes one option."""

    (found,) = recorded_options(build, {"option": recorded}, "flow.json").values()
    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("options", "right"),
    [
        ({"layers": 0}, False),
        ({"layers": True}, False),
        ({"layers": 2.0}, False),
        ({"hidden": [0]}, False),
        ({"hidden": None}, True),
        ({"hidden": 3}, False),
        ({"by_name": {"a": 1}}, False),
        ({"by_name": []}, False),
        ({"prior": "uniform"}, False),
        ({"share": 1}, False),
        ({"share": 0}, True),
        ({"share": math.nan}, False),
        ({"share": -math.inf}, False),
    ],
    ids=str,
)
def test_recorded_options_are_right_where_pydantic_says_so(monkeypatch, options, right):
    options = {"layers": 2} | options
    try:
        check_options(as_json_has_them, options, "x.yaml")
        assert right
    except ConfigError:
        assert not right
    monkeypatch.setitem(sys.modules, "pydantic", None)
    if right:
        assert recorded_options(as_json_has_them, options, "flow.json") == options
    else:
        with pytest.raises(ConfigError, match=r"^flow\.json: options\.\w+ = .*: must be "):
            recorded_options(as_json_has_them, options, "flow.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "flow.json: options.layers: is missing"),
        ({"layers": 2, "hiden": [3]}, "flow.json: options = 'hiden': no such key; did you mean 'hidden'?"),
    ],
)
def test_recorded_options_of_another_version_are_one_line(options, message):
    with pytest.raises(ConfigError) as error:
        recorded_options(as_json_has_them, options, "flow.json")
    assert str(error.value) == message
