"""Three answers, of one data set and over several."""

from types import SimpleNamespace

import pandas as pd
import pytest

from flowbench.report.judgement.answers import MARGIN, Answer, answers, overall
from flowbench.report.judgement.certification import Certificate
from tests.report.made_up import frame


def near(x):
    """Five seeds within 1 % of x."""
    return [x * (1 + 0.01 * i) for i in (-1, -0.5, 0, 0.5, 1)]


def cells(**of):
    """Bits per dim, samples per second and seconds of training, by flow."""
    names = ("bits_per_dim", "sample_samples_per_second", "train_seconds")
    return {label: dict(zip(names, map(near, values), strict=True)) for label, values in of.items()}


FLOWS = cells(maf=(1.0, 10, 90), nice=(1.025, 900, 80), glow=(1.02, 100, 20), planar=(3.0, 9000, 1))


def asked(table, hosts=None, certificates=None):
    record = SimpleNamespace(evaluation=SimpleNamespace(log_prob={}))
    of = [SimpleNamespace(key=key, hosts=host, record=record) for key, host in (hosts or {}).items()]
    return {answer.question: answer for answer in answers(table, of, certificates or {})}


def test_the_answers_of_one_data_set():
    assert list(asked(frame(FLOWS)).values()) == [
        Answer("best density", "maf", "clear"),
        Answer("fastest sampler", "nice", "clear"),
        Answer("cheapest training", "glow", "clear"),
    ]


@pytest.mark.parametrize(("gap", "seeds", "good"), [(0.6, 5, True), (0.9, 5, False), (1.1, 5, False), (0.9, 2, True)])
def test_a_flow_that_may_be_beyond_the_margin_answers_nothing_however_fast(gap, seeds, good):
    """With a mean of 0.9 of the margin, the interval passes it; two seeds have no interval, and their mean decides."""
    table = frame(cells(maf=(1.0, 10, 90), planar=(1.0 + gap * MARGIN, 9000, 1)))
    fastest = asked(table[table["seed"] < seeds])["fastest sampler"]
    assert fastest.cell == ("planar" if good else "maf")


def test_ties_are_named():
    found = asked(frame(FLOWS | cells(iaf=(1.001, 901, 50))))
    assert found["best density"] == Answer("best density", "maf", "tied", ["iaf"])
    assert found["fastest sampler"].tied == ["nice"]


def test_baselines_and_what_fails_certification_answer_nothing():
    table = frame(FLOWS | cells(gaussian=(0.5, 1e6, 0.1)), baselines=["gaussian"])
    found = asked(table, certificates={"maf": Certificate(density="fails"), "nice": Certificate(samples="fails")})
    assert [answer.cell for answer in found.values()] == ["glow", "glow", "glow"]
    nothing = asked(table, certificates={name: Certificate(float32="fails") for name in FLOWS})
    assert {(answer.cell, answer.chip) for answer in nothing.values()} == {(None, "none")}


@pytest.mark.parametrize(("host", "fastest"), [("A", "nice"), ("B", "glow")])
def test_costs_of_other_hosts_are_not_compared(host, fastest):
    hosts = {"maf": ["A"], "nice": [host], "glow": ["A"], "planar": ["A"]}
    assert asked(frame(FLOWS), hosts=hosts)["fastest sampler"].cell == fastest


def test_over_data_sets_the_answers_are_labels():
    tables = []
    for data in ("moons", "rings", "spirals"):
        table = frame(FLOWS, data=data)
        tables.append(table.assign(cell=data + "-" + table["cell"]))
    # On one of them the fastest is too far behind.
    last = tables[-1]
    last.loc[(last["label"] == "nice") & (last["metric"] == "bits_per_dim"), "value"] += 0.1
    density, fastest, _ = overall(pd.concat(tables), (), {})
    assert density.cell == "maf"
    assert (fastest.cell, fastest.tied) == (None, ["glow", "maf"]), "two flows need more data sets"
    assert density.tied == ["glow", "nice"]
    assert (density.chip, fastest.chip) == ("tied", "too few data sets")


def several(*names, **flows):
    tables = [frame(flows, data=data) for data in names]
    return pd.concat([table.assign(cell=name + "-" + table["cell"]) for name, table in zip(names, tables, strict=True)])


def test_over_too_few_data_sets_no_flow_stands_out():
    density, *_ = overall(several("moons", "rings", **FLOWS), (), {})
    assert (density.cell, density.chip, density.data_sets) == (None, "too few data sets", 2)


def test_where_all_are_tied_no_flow_stands_out():
    same = cells(maf=(1.0, 10, 90), nice=(1.0, 10, 90))
    density, *_ = overall(several(*"abcdef", **same), (), {})
    assert (density.cell, density.chip, density.data_sets) == (None, "tied", 6)
    assert sorted(density.tied) == ["maf", "nice"]


def test_one_data_set_is_not_several():
    assert {(answer.cell, answer.chip) for answer in overall(frame(FLOWS), (), {})} == {(None, "none")}
