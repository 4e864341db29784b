"""Mistakes in params.yaml: one line with the file, the key, the value and the nearest valid choice."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveFloat, PositiveInt

from flowbench.config import ConfigError, check_options, label, load

GOOD = """\
data: {moons: {noise: 0.05}, digits: {}}
flows: {glow: {plane: {steps: 10}}, maf: {plane: {}}, iaf_distilled: {plane: {}}}
budgets:
  quick:
    train: {steps: 20, batch_size: 64, seeds: [0], learning_rate: 1e-3}
    evaluate: {throughput_seconds: 1}
suites:
  tiny: &tiny
    name: tiny
    about: a cell, a teacher and its student
    data: [moons]
    cells:
      moons-glow: {data: moons, flow: glow, config: plane, budget: quick}
      moons-maf: {data: moons, flow: maf, config: plane, budget: quick}
    students:
      moons-iaf_distilled: {data: moons, flow: iaf_distilled, config: plane, budget: quick, teacher: moons-maf}
  other: &other
    name: other
    about: the same cell in another suite
    data: [moons]
    cells:
      moons-glow: {data: moons, flow: glow, config: plane, budget: quick}
    students: {}
active: *tiny
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
    cell = params.cell("moons-glow")
    assert params.options(cell) == {"steps": 10}
    assert params.budgets[cell.budget].train.learning_rate == 0.001
    assert params.budgets[cell.budget].evaluate.throughput_seconds == 1.0
    assert params.active.name == "tiny"
    assert params.cell("moons-iaf_distilled").teacher == "moons-maf"
    assert list(params.active.all_cells) == ["moons-glow", "moons-maf", "moons-iaf_distilled"]


def test_the_configuration_of_the_repository_is_right():
    params = load(Path(__file__).parents[2] / "params.yaml")
    assert params.active == params.suites[params.active.name]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("flow: glow", "flow: glwo", "suites.tiny.cells.moons-glow.flow = 'glwo': no such flow; did you mean 'glow'?"),
        (
            "{data: moons",
            "{data: mons",
            "suites.tiny.cells.moons-glow.data = 'mons': no such data set; did you mean 'moons'?",
        ),
        ("data: [moons]", "data: [xyz]", "suites.tiny.data = 'xyz': no such data set; choose from digits, moons"),
        (
            "config: plane",
            "config: plain",
            "suites.tiny.cells.moons-glow.config = 'plain': no such configuration of glow; did you mean 'plane'?",
        ),
        (
            "budget: quick",
            "budget: quik",
            "suites.tiny.cells.moons-glow.budget = 'quik': no such budget; did you mean 'quick'?",
        ),
        ("steps: 20", "steps: -20", "budgets.quick.train.steps = -20: input should be greater than 0"),
        ("steps: 20", "steps: 2.5", "budgets.quick.train.steps = 2.5: input should be a valid integer"),
        ("steps: 20", "steps: '20'", "budgets.quick.train.steps = '20': input should be a valid integer"),
        ("steps: 20", "steps: true", "budgets.quick.train.steps = True: input should be a valid integer"),
        ("steps: 20", "step: 20", "budgets.quick.train = 'step': no such key; did you mean 'steps'?"),
        ("batch_size: 64, ", "", "budgets.quick.train.batch_size: is missing"),
        ("learning_rate: 1e-3", "learning_rate: .nan", "budgets.quick.train.learning_rate = nan: "),
        ("learning_rate: 1e-3", "schedule: cosin", "budgets.quick.train.schedule = 'cosin': input should be "),
        ("seeds: [0]", "seeds: []", "budgets.quick.train.seeds = []: "),
        ("seeds: [0]", "seeds: [0, -1]", "budgets.quick.train.seeds.1 = -1: "),
        ("{noise: 0.05}", "3", "data.moons = 3: "),
        ("name: tiny", "name: tinny", "suites.tiny.name = 'tinny': must be 'tiny'"),
        ("moons-glow: {", "moons-nice: {", "suites.tiny.cells.moons-nice: the key must begin with moons-glow"),
        ("data: [moons]", "data: []", "suites.tiny.cells.moons-glow.data = 'moons': is not listed in suites.tiny.data"),
        ("active: *tiny", "active: tiny", "active = 'tiny': "),
        ("active: *tiny", "active:", "active = None: "),
        ("active: *tiny", "", "active: is missing"),
        ("active: *tiny", "active: {name: no, about: '', data: [], cells: {}, students: {}}", "active"),
        (
            "active: *tiny",
            "active: {name: tiny, about: '', data: [], cells: {}, students: {}}",
            "active: must be an alias of one",
        ),
        ("active: *tiny", "activ: *tiny", "'activ': no such key; did you mean 'active'?"),
        ("active: *tiny", "active: *tinny", "is not YAML: found undefined alias 'tinny'"),
        ("active: *tiny", "active: [", "is not YAML: "),
        ("noise: 0.05", "noise: 2026-13-45", "is not YAML: '2026-13-45': month must be in 1..12 in "),
        ("noise: 0.05", f"noise: {'[' * 3000}{']' * 3000}", "is nested too deeply"),
        ("noise: 0.05", "noise: &a [*a]", "top level: Circular reference detected"),
        (GOOD, "", "must be a mapping with the keys data, flows, budgets, suites, active"),
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
    "suites": ("  %s: &tiny", "tiny"),
    "suites.tiny.cells": ("      %s:", "moons-maf"),
    "suites.tiny.students": ("      %s:", "moons-iaf_distilled"),
}


@pytest.mark.parametrize("name", ["moons;touch x", "../../x", "$(id)", "a.b", ".a", "-a", "a b", "a/b", "é", "", "a\n"])
@pytest.mark.parametrize("where", PLACES)
def test_a_name_is_no_more_than_a_name_to_a_shell_or_in_a_path(read, where, name):
    place, key = PLACES[where]
    assert place % key in GOOD
    with pytest.raises(ConfigError) as error:
        read(GOOD.replace(place % key, place % json.dumps(name), 1))
    assert str(error.value).startswith(f"params.yaml: {where} = {name!r}: is no name; ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["moons-glow-2_B", "moons-glow-x-", "tiny-moons-glow"])
def test_a_name_may_have_hyphens_and_underscores_within(read, name):
    assert name in read(GOOD.replace("moons-glow:", f"{name}:", 1)).active.cells


STUDENT = "moons-iaf_distilled: {data: moons, flow: iaf_distilled, config: plane, budget: quick, teacher: moons-maf}"
WHERE = "suites.tiny.students.moons-iaf_distilled"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("teacher: moons-maf", "teacher: moons-mfa", f"{WHERE}.teacher = 'moons-mfa': no such cell in "),
        ("teacher: moons-maf", "teacher: moons-glow", f"{WHERE}.teacher = 'moons-glow': is a glow; choose a maf"),
        (
            "teacher: moons-maf",
            "teacher: moons-iaf_distilled",
            f"{WHERE}.teacher = 'moons-iaf_distilled': no such cell in suites.tiny.cells; ",
        ),
        (", teacher: moons-maf", "", f"{WHERE}.teacher: is missing"),
        (STUDENT, STUDENT.replace("data: moons", "data: digits"), f"{WHERE}.data = 'digits': is not listed in"),
        (STUDENT, STUDENT.replace("flow: iaf_distilled", "flow: nice"), f"{WHERE}.flow = 'nice': no such flow; "),
        (STUDENT, STUDENT.replace("iaf_distilled", "maf-2").replace("flow: maf-2", "flow: maf"),
         "suites.tiny.students.moons-maf-2.flow = 'maf': no such flow that learns from a teacher; "),
        (STUDENT, STUDENT.replace("quick", "slow"), f"{WHERE}.teacher = 'moons-maf': has the seeds [0] and not [3], "
         "which budgets.slow asks for"),
        (f"    students:\n      {STUDENT}", f"      {STUDENT.replace(', teacher: moons-maf', '')}\n    students: {{}}",
         "suites.tiny.cells.moons-iaf_distilled.flow = 'iaf_distilled': learns from a teacher; put the cell under "
         "suites.tiny.students"),
        (STUDENT, STUDENT.replace("moons-iaf_distilled", "moons-glow"),
         "suites.tiny.students.moons-glow: suites.tiny.cells has a cell of that key"),
        ("    students: {}\n", "", "suites.other.students: is missing"),
    ],
)  # fmt: skip
def test_a_mistake_about_a_student_is_one_line(read, old, new, message):
    text = GOOD.replace(
        "suites:\n", "  slow: {train: {steps: 2, batch_size: 6, seeds: [0, 3]}, evaluate: {}}\nsuites:\n"
    )
    assert old in text
    with pytest.raises(ConfigError) as error:
        read(text.replace(old, new, 1))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_teacher_learns_the_same_data(read):
    text = GOOD.replace("data: [moons]", "data: [moons, digits]", 1)
    text = text.replace(STUDENT, STUDENT.replace("moons-iaf", "digits-iaf").replace("data: moons", "data: digits"))
    with pytest.raises(ConfigError, match=r"teacher = 'moons-maf': learns moons; choose a cell on digits"):
        read(text)


def test_a_key_means_one_cell_in_all_suites(read):
    flows = GOOD.replace("{plane: {steps: 10}}", "{plane: {steps: 10}, wide: {steps: 20}}")
    with pytest.raises(ConfigError, match="other has another cell of that key; put tiny- in front"):
        read(flows.replace("config: plane", "config: wide", 1))


def test_a_file_that_cannot_be_read(tmp_path, read):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(b"\xff\xfe\xff")


def test_an_unknown_cell(read):
    with pytest.raises(ConfigError, match="'moons-glo': no such cell of the active suite; did you mean 'moons-glow'"):
        read(GOOD).cell("moons-glo")


@pytest.mark.parametrize(
    ("suite", "key", "data", "expected"),
    [
        ("laptop", "moons-glow", "moons", "glow"),
        ("smoke", "smoke-moons-maf", "moons", "maf"),
        ("laptop", "moons-glow-mixture", "moons", "glow-mixture"),
    ],
)
def test_label(suite, key, data, expected):
    assert label(suite, key, data) == expected


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
    assert check_options(build, {"layers": 3, "hidden": [8], "scale": 1}, "flows.x.y") == {
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
        check_options(build, options, "flows.x.y")
    assert str(error.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(error.value)
