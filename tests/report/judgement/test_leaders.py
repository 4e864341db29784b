import math

import pytest

from flowbench.report.judgement.leaders import Leader, leaders
from tests.report.made_up import frame


# Three seeds around x with an interval of about 0.025, or of 2.5.
def near(x):
    return [x - 0.01, x, x + 0.01]


def around(x):
    return [x - 1, x, x + 1]


def found(flows, baselines=(), metric="bits_per_dim", n=None):
    cells = {label: {metric: values} for label, values in {**flows, **dict(baselines)}.items()}
    return leaders(frame(cells, baselines=list(dict(baselines)), n=n))


@pytest.mark.parametrize(
    ("flows", "leader"),
    [
        ({}, None),
        ({"nice": near(1)}, Leader("nice", "alone")),
        ({"nice": [math.nan, 1], "glow": [math.inf]}, None),
        ({"nice": near(2), "glow": near(1)}, Leader("glow", "best", [], 1)),
        (
            {"nice": near(1), "maf": near(1.01), "glow": near(1.02), "iaf": around(9)},
            Leader("nice", "significant", [], 3),
        ),
        ({"nice": near(1), "planar": around(2)}, Leader("nice", "near", ["planar"], 1)),
        (
            # Bold, as its interval overlaps no other; but each of ten pairs may differ by chance.
            {"nice": near(1)} | {f"maf{i}": [1.08 + i / 999, 1.06, 1.07] for i in range(4)},
            Leader("nice", "near", ["maf0", "maf1", "maf2", "maf3"], 4),
        ),
        ({"nice": [2], "glow": [1]}, Leader("glow", "lowest", [], 1)),
        ({"nice": [1], "glow": [1]}, Leader("nice", "equal", ["glow"], 1)),
    ],
)
def test_the_leading_flow(flows, leader):
    assert found(flows).flow == leader


def test_an_energy_is_ranked_by_the_divergence_from_it():
    of = found({"nice": near(2), "glow": near(1)}, metric="kl_to_target")
    assert (of.metric, of.flow) == ("kl_to_target", Leader("glow", "best", [], 1))


@pytest.mark.parametrize(
    ("flows", "baselines", "leader"),
    [
        ({"f": near(2)}, {"b": near(1)}, Leader("b", "best", [], 1)),
        ({"f0": around(2), "f1": near(3)}, {"b0": near(1), "b1": near(5)}, Leader("b0", "near", ["f0"], 2)),
        ({"f": near(1)}, {"b0": near(3), "b1": near(2)}, Leader("b1", "beaten")),
        ({"f": near(2)}, {"b": [1]}, Leader("b", "lowest", [], 1)),
        ({}, {"b0": near(1), "b1": near(2)}, Leader("b0", "alone")),
        ({"f": [math.nan] * 3}, {"b": near(1)}, Leader("b", "alone")),
    ],
)
def test_the_best_baseline(flows, baselines, leader):
    assert found(flows, baselines).baseline == leader


def test_a_flow_measured_on_fewer_examples_has_no_rank():
    of = found({"nice": near(2), "glow": near(3), "cnf": near(1)}, n={"cnf": 100})
    assert of.flow == Leader("nice", "best", [], 1)
    assert of.not_compared == ["cnf"]
