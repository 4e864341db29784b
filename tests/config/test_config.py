"""Mistakes in params.yaml: one line with the file, the key, the value and the nearest valid choice."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveFloat, PositiveInt

from flowbench.config import ConfigError, check_options, load, suites

GOOD = """\
data: {moons: {noise: 0.05}, digits: {}}
flows: {glow: {plane: {steps: 10}}, maf: {plane: {}}}
budgets:
  quick:
    train: {steps: 20, batch_size: 64, learning_rate: 1e-3}
    evaluate: {throughput_seconds: 1}
"""


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes):
        path = tmp_path / "params.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(path)

    return read


def test_reads_the_configuration(read):
    params = read(GOOD)
    assert params.flows["glow"]["plane"] == {"steps": 10}
    assert params.budgets["quick"].train.learning_rate == 0.001
    assert params.budgets["quick"].evaluate.throughput_seconds == 1.0


def test_a_budget_measures_with_defaults_where_it_says_nothing(read):
    text = GOOD.replace("    evaluate: {throughput_seconds: 1}\n", "")
    assert read(text).budgets["quick"].evaluate.samples == 5000


def test_what_a_person_edits_is_small():
    root = Path(__file__).parents[2]
    edited = [root / "params.yaml", *(root / "suites").glob("*.yaml")]
    params = load(root / "params.yaml")
    cells = sum(len(suites.load(name, params, root).cells) for name in suites.names(root))
    assert sum(path.stat().st_size for path in edited) < 80 * cells  # so that none is spelled out cell by cell


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 20", "steps: -20", "budgets.quick.train.steps = -20: input should be greater than 0"),
        ("steps: 20", "steps: 2.5", "budgets.quick.train.steps = 2.5: input should be a valid integer"),
        ("steps: 20", "steps: '20'", "budgets.quick.train.steps = '20': input should be a valid integer"),
        ("steps: 20", "steps: true", "budgets.quick.train.steps = True: input should be a valid integer"),
        ("steps: 20", "step: 20", "budgets.quick.train = 'step': no such key; did you mean 'steps'?"),
        ("batch_size: 64, ", "", "budgets.quick.train.batch_size: is missing"),
        ("learning_rate: 1e-3", "learning_rate: .nan", "budgets.quick.train.learning_rate = nan: "),
        ("learning_rate: 1e-3", "schedule: cosin", "budgets.quick.train.schedule = 'cosin': input should be "),
        ("{noise: 0.05}", "3", "data.moons = 3: "),
        ("budgets:", "budget:", "'budget': no such key; did you mean 'budgets'?"),
        ("{noise: 0.05}", "*x", "is not YAML: found undefined alias"),
        ("{noise: 0.05}", "[", "is not YAML: "),
        ("noise: 0.05", "noise: 2026-13-45", "is not YAML: ValueError: month must be in 1..12"),
        ("noise: 0.05", "noise: !!bool x", "is not YAML: KeyError: 'x'"),
        ("noise: 0.05", f"noise: {'[' * 3000}{']' * 3000}", "is nested too deeply"),
        ("noise: 0.05", "noise: &a [*a]", "data.moons.noise.0: holds itself"),
        ("{moons: {noise: 0.05}", "{moons: {}, moons: {}", "is not YAML: "),
        (GOOD, "", "must be a mapping"),
        (GOOD, "- 1", "must be a mapping"),
    ],
)
def test_a_mistake_is_one_line(read, old, new, message):
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        read(GOOD.replace(old, new, 1))
    text = str(error.value)
    assert "params.yaml: " in text
    assert message in text
    assert "\n" not in text


PLACES = {
    "data": ("data: {%s:", "moons"),
    "flows": ("flows: {%s:", "glow"),
    "flows.glow": ("{%s: {steps: 10}", "plane"),
    "budgets": ("  %s:\n    train", "quick"),
}


def renamed(where: str, name: str) -> str:
    place, key = PLACES[where]
    assert place % key in GOOD
    return GOOD.replace(place % key, place % name, 1)


@pytest.mark.parametrize("name", ["moons;touch x", "../../x", "$(id)", "a.b", ".a", "-a", "a b", "a/b", "é", "", "a\n"])
@pytest.mark.parametrize("where", PLACES)
def test_a_name_is_no_more_than_a_name_to_a_shell_or_in_a_path(read, where, name):
    with pytest.raises(ConfigError) as error:
        read(renamed(where, json.dumps(name)))
    assert str(error.value).startswith(f"params.yaml: {where} = {name!r}: is no name; ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["true", "null", "~", "1e3", "012", "0x1f", "2026-01-01", "3"])
@pytest.mark.parametrize("where", PLACES)
def test_a_key_that_yaml_reads_as_something_else_is_refused(read, where, name):
    with pytest.raises(ConfigError, match=r"YAML reads this key as [^\n]*, and not as text"):
        read(renamed(where, name))


@pytest.mark.parametrize("name", ["yes", "no", "on", "off", "y", "Null", "TRUE"])
def test_a_name_that_another_version_of_yaml_reads_as_something_else_is_refused(read, name):
    with pytest.raises(ConfigError, match=r"is no name|reads this key as"):
        read(renamed("flows.glow", name))


@pytest.mark.parametrize("name", ["plane-2_B", "plane-x-", "2_plane"])
def test_a_name_may_have_hyphens_and_underscores_within(read, name):
    assert name in read(renamed("flows.glow", name)).flows["glow"]


def test_dvc_reads_the_same_values(read, tmp_path):
    from dvc.utils.serialize import load_yaml

    path = Path(__file__).parents[2] / "params.yaml"
    assert load(path).model_dump(exclude_unset=True) == load_yaml(str(path))


def test_a_file_that_cannot_be_read(tmp_path, read):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(b"\xff\xfe\xff")


def build(
    event,
    device="cpu",
    *,
    layers: PositiveInt,
    hidden: tuple[PositiveInt, ...] = (64, 64),
    scale: PositiveFloat = 2.0,
    prior: Literal["normal", "mixture"] = "normal",
    squeeze: Annotated[float, Field(gt=0, lt=0.5)] | None = None,
):
    """A builder as flows and data sources have it."""


def test_options_are_completed_and_converted():
    assert check_options(build, {"layers": 3, "hidden": [8], "scale": 1}, "params.yaml: flows.x.y") == {
        "layers": 3,
        "hidden": (8,),
        "scale": 1.0,
        "prior": "normal",
        "squeeze": None,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "flows.x.y.layers: is missing"),
        ({"layres": 3}, "flows.x.y = 'layres': no such key; did you mean 'layers'?"),
        ({"layers": 3, "event": 1}, "flows.x.y = 'event': no such key; choose from hidden, layers, prior, "),
        ({"layers": 3, "device": "cpu"}, "flows.x.y = 'device': no such key"),
        ({"layers": "3"}, "flows.x.y.layers = '3': input should be a valid integer"),
        ({"layers": True}, "flows.x.y.layers = True: input should be a valid integer"),
        ({"layers": 0}, "flows.x.y.layers = 0: input should be greater than 0"),
        ({"layers": 3, "hidden": 8}, "flows.x.y.hidden = 8: "),
        ({"layers": 3, "hidden": [8, -1]}, "flows.x.y.hidden.1 = -1: input should be greater than 0"),
        ({"layers": 3, "scale": float("inf")}, "flows.x.y.scale = inf: input should be a finite number"),
        ({"layers": 3, "prior": "mixtur"}, "flows.x.y.prior = 'mixtur': input should be 'normal' or 'mixture'"),
        ({"layers": 3, "squeeze": 0.5}, "flows.x.y.squeeze = 0.5: input should be less than 0.5"),
        ([], "flows.x.y = []: "),
        (None, "flows.x.y = None: "),
    ],
)
def test_a_wrong_option_is_one_line(options, message):
    with pytest.raises(ConfigError) as error:
        check_options(build, options, "params.yaml: flows.x.y")
    assert str(error.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(error.value)
