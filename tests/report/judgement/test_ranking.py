"""Mean ranks over data sets, against published values."""

import math

import pandas as pd
import pytest

from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.ranking import critical_difference, flow_ranking, ranking
from flowbench.report.judgement.verdict import verdicts
from tests.report.made_up import frame


def near(x):
    """Three seeds around x."""
    return [x - 0.01, x, x + 0.01]


def ranked(certificates=None, **of_data):
    """The ranking of flows with the given bits per dim by data set; a Gaussian is a baseline."""
    tables = []
    for data, means in of_data.items():
        cells = {name: {"bits_per_dim": near(mean)} for name, mean in means.items()}
        table = frame(cells, baselines=["gaussian"], data=data)
        tables.append(table.assign(cell=table["cell"] + "-" + data))
    table = pd.concat(tables)
    return flow_ranking(table, verdicts(table, (), certificates or {}))


def test_ranks_share_ties_and_take_the_largest_full_table():
    of_data = {
        "a": {"x": 1.0, "y": 2.0, "z": 2.0, "only": 0.0},
        "b": {"x": 3.0, "y": 1.0, "z": 5.0},
        "c": {"x": 0.0, "y": 9.0},
    }
    found = ranking(of_data)
    wanted = {"a": {"x": 1.0, "y": 2.5, "z": 2.5}, "b": {"x": 2.0, "y": 1.0, "z": 3.0}}
    assert found.ranks.to_dict(orient="index") == wanted
    assert found.means == {"x": 1.5, "y": 1.75, "z": 2.75}
    assert list(found.means) == ["x", "y", "z"]
    assert (found.conclusive, found.apart) == (False, False)
    assert ranking({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0}}) is None
    assert ranking({}) is None


def test_flows_are_ranked_and_baselines_are_not():
    found = ranked(
        moons={"nice": 1, "glow": 2, "gaussian": 0}, digits={"nice": 1, "glow": 2}, rings={"glow": 0, "nice": 1}
    )
    assert list(found.ranks.index) == ["moons", "digits", "rings"]
    assert found.means == pytest.approx({"nice": 4 / 3, "glow": 5 / 3})


def test_flows_that_are_tied_with_the_best_share_its_rank():
    found = ranked(moons={"nice": 1, "glow": 1.001, "maf": 3}, digits={"nice": 1, "glow": 2, "maf": 3})
    assert found.ranks.loc["moons"].to_dict() == {"nice": 1.5, "glow": 1.5, "maf": 3.0}
    assert found.ranks.loc["digits"].to_dict() == {"nice": 1.0, "glow": 2.0, "maf": 3.0}


def test_a_flow_that_fails_certification_has_no_rank():
    means = {"nice": 1, "glow": 2, "maf": 3}
    found = ranked({"nice-digits": Certificate(float32="fails")}, moons=means, digits=means)
    assert found.means == {"glow": 1.0, "maf": 2.0}


# Demšar (2006), section 3.2.2: α = 0.05, 4 classifiers on 14 data sets; and table 5a's q for 2 and 10.
@pytest.mark.parametrize(
    ("names", "data_sets", "wanted"),
    [(4, 14, 1.25), (2, 1, 1.960), (10, 1, 3.164 * math.sqrt(110 / 6))],
)
def test_the_critical_difference_is_the_published_one(names, data_sets, wanted):
    assert critical_difference(names, data_sets) == pytest.approx(wanted, rel=0.005)


@pytest.mark.parametrize("order", ["the same", "in turns"])
def test_nemenyi_tells_flows_apart_where_mean_ranks_differ_by_the_critical_difference(order):
    of_data = {
        f"data {i}": {name: float(j if order == "the same" else (i + j) % 3) for j, name in enumerate("xyz")}
        for i in range(8)
    }
    found = ranking(of_data)
    assert found.conclusive
    # 8 data sets × 3 flows: q = 2.343 (Demšar's table 5a), so mean ranks must differ by 1.17.
    assert found.critical_difference == pytest.approx(2.343 * math.sqrt(3 * 4 / 48), rel=0.005)
    means = found.means.values()
    assert max(means) - min(means) == pytest.approx(2.0 if order == "the same" else 0.25)
    assert found.apart == (order == "the same")
    assert not ranking(dict(list(of_data.items())[:2])).conclusive
