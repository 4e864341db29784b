"""Who is best on a data set, who is tied with it, and who cannot be best."""

import math

import numpy as np
import pytest

from flowbench.metrics import METRICS, of_family
from flowbench.report.judgement.answers import COSTS
from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.comparisons import RANKED_BY
from flowbench.report.judgement.verdict import Verdict, verdict, verdicts
from tests.report.made_up import frame

RNG = np.random.default_rng(0)


def near(x, seeds=5):
    """Seeds around x with a standard deviation of about 0.01."""
    return [x + 0.01 * (i - (seeds - 1) / 2) / seeds**0.5 for i in range(seeds)]


def around(x):
    """Five seeds between x - 1 and x + 1."""
    return [x - 1, x - 0.5, x, x + 0.5, x + 1]


def judged(flows, baselines=None, metric="bits_per_dim", certificates=None, n=None, **options) -> Verdict:
    cells = {label: {metric: values} for label, values in (flows | (baselines or {})).items()}
    return verdict(frame(cells, baselines=baselines or {}, n=n), (), metric, certificates or {}, **options)


@pytest.mark.parametrize(
    ("flows", "best", "chip", "tied"),
    [
        ({"nice": near(1)}, "nice", "alone", []),
        ({"nice": near(2), "glow": near(1)}, "glow", "clear", []),
        ({"nice": near(2), "glow": near(1), "maf": near(1.001)}, "glow", "tied", ["maf"]),
        # An uncertain flow may be the best; others that are worse than the best are not.
        ({"nice": near(2), "glow": near(1), "planar": around(1.8)}, "glow", "tied", ["planar"]),
        ({"nice": near(1), "glow": [math.nan] * 5}, "nice", "alone", []),
        ({"nice": [math.inf] * 5}, None, "none", []),
        ({"nice": near(1, 2), "glow": near(2, 2)}, "nice", "too few seeds", ["glow"]),
        ({"nice": near(1), "glow": near(2, 2)}, "nice", "too few seeds", ["glow"]),
        ({"nice": near(1, 2), "glow": near(2)}, "nice", "too few seeds", ["glow"]),
        ({"nice": near(1), "glow": near(3), "maf": near(1.001), "iaf": near(2, 1)}, "nice", "tied", ["maf", "iaf"]),
        ({"nice": [1.0] * 3, "glow": [2.0] * 3}, "nice", "clear", []),
    ],
)
def test_the_best_flow_and_those_that_cannot_be_told_from_it(flows, best, chip, tied):
    found = judged(flows)
    assert (found.best, found.chip, found.tied) == (best, chip, tied)
    assert found.leading == ([best, *tied] if best else [])


def test_gaps_are_differences_of_the_means_that_are_printed():
    found = judged({"nice": near(2), "glow": near(1), "maf": near(4, 2)})
    nice, maf, best = (found.gaps[key] for key in ("nice", "maf", "glow"))
    assert (best.value, best.p, best.told_apart, math.isnan(best.low)) == (0.0, None, False, True)
    assert nice.value == pytest.approx(1.0)
    assert 0.9 < nice.low < 1 < nice.high < 1.1
    assert nice.told_apart
    assert nice.p < 0.001
    assert (maf.value, maf.p, maf.told_apart, math.isnan(maf.low)) == (pytest.approx(3.0), None, False, True)


@pytest.mark.parametrize(("metric", "higher"), [("sample_samples_per_second", True), ("train_seconds", False)])
def test_sizes_are_judged_by_their_ratios_and_worse_is_positive(metric, higher):
    values = {"slow": RNG.lognormal(0, 0.1, 5), "fast": RNG.lognormal(7, 0.1, 5)}
    found = judged(values, metric=metric)
    best, other = ("fast", "slow") if higher else ("slow", "fast")
    assert (found.best, found.chip, found.scale) == (best, "clear", "log")
    gap = found.gaps[other]
    assert 0 < gap.low < gap.value < gap.high
    assert gap.value == pytest.approx(values["fast"].mean() - values["slow"].mean())


@pytest.mark.parametrize(
    ("metric", "values", "scale"),
    [
        ("energy_distance", near(1), "log"),
        ("energy_distance", near(0), "linear"),
        ("bits_per_dim", near(1), "linear"),
        ("psnr", near(20), "linear"),
        ("kl_to_target", near(1), "log"),
    ],
)
def test_only_positive_sizes_have_a_logarithm(metric, values, scale):
    assert judged({"nice": values, "glow": near(1)}, metric=metric).scale == scale


def test_bits_above_a_known_truth_are_sizes_while_all_are_positive():
    cells = {"nice": {"bits_per_dim": near(1)}, "glow": {"bits_per_dim": near(1.4)}}
    for truth, scale in ((0.5, "log"), (1.0, "linear")):
        for of in cells.values():
            of["true_bits_per_dim"] = [truth] * 5
        found = verdict(frame(cells), (), "bits_per_dim", {})
        assert found.scale == scale
        assert found.gaps["glow"].value == pytest.approx(0.4)


def test_what_fails_certification_is_compared_and_never_best():
    certificates = {"nice": Certificate(float32="fails", density="fails"), "glow": Certificate(float32="passes")}
    found = judged({"nice": near(1), "glow": near(2), "maf": near(3)}, certificates=certificates)
    assert (found.best, found.chip, found.tied) == ("glow", "clear", [])
    assert found.excluded == {"nice": "fails certification: float32, density"}
    assert found.gaps["nice"].value == pytest.approx(-1.0)
    assert found.gaps["nice"].high < 0
    assert found.gaps["nice"].told_apart
    assert judged({"nice": near(1)}, certificates=certificates).chip == "none"


@pytest.mark.parametrize(("metric", "why"), [("diverged_at", "a seed diverged"), ("failed_at", "a seed failed")])
def test_a_flow_with_a_lost_seed_is_compared_and_never_best(metric, why):
    table = frame({"nice": {"bits_per_dim": near(1), metric: [7.0]}, "glow": {"bits_per_dim": near(2)}})
    table.loc[table["metric"] == metric, "lost"] = True
    found = verdict(table, (), "bits_per_dim", {})
    assert (found.best, found.excluded) == ("glow", {"nice": why})
    assert found.gaps["nice"].value == pytest.approx(-1.0)


def test_a_flow_that_lost_all_seeds_is_named_and_has_no_gap():
    table = frame({"nice": {"diverged_at": [7.0, 8.0]}, "glow": {"bits_per_dim": near(2)}})
    table.loc[table["metric"] == "diverged_at", "lost"] = True
    found = verdict(table, (), "bits_per_dim", {})
    assert (found.best, found.chip, found.excluded) == ("glow", "alone", {"nice": "a seed diverged"})
    assert list(found.gaps) == ["glow"]


def test_a_baseline_is_compared_and_never_crowned():
    found = judged({"f0": near(2), "f1": near(3)}, {"b0": near(1), "b1": near(2), "b2": near(9)})
    assert (found.best, found.chip) == ("f0", "clear")
    assert [found.gaps[key].told_apart for key in ("b0", "b1", "b2")] == [True, False, True]
    assert found.gaps["b0"].high < 0 < found.gaps["b2"].low
    assert judged({}, {"b0": near(1)}).best is None
    assert found.excluded == {}


def test_values_over_fewer_examples_are_not_compared():
    flows = {"nice": near(2), "glow": near(3), "cnf": near(1)}
    for metric in ("bits_per_dim", "energy_distance"):
        found = judged(flows, metric=metric, n={"cnf": 100})
        assert (found.best, found.excluded, list(found.gaps)) == ("nice", {"cnf": "other examples"}, ["nice", "glow"])


def test_each_data_set_has_a_verdict_by_what_its_flows_are_ranked_by():
    cells = {name: {"bits_per_dim": near(i), "kl_to_target": near(5 - i)} for i, name in enumerate(("a", "b"))}
    (found,) = verdicts(frame(cells), (), {}).items()
    assert (found[0], found[1].metric, found[1].best) == ("moons", "kl_to_target", "b")


def test_metrics_are_judged_by_means_of_seeds_as_the_catalogue_combines_them():
    judged = {name for name, metric in METRICS.items() if metric.judged}
    assert judged >= {*RANKED_BY, *COSTS.values(), *of_family("quality")}
    assert {METRICS[name].over_seeds for name in judged} == {"mean"}
    assert {METRICS[name].over_seeds for name in METRICS.keys() - judged} == {"mean", "worst"}


def test_what_flows_are_ranked_by_can_stand_in_a_sentence_and_in_a_field():
    assert all(METRICS[name].said and METRICS[name].short for name in RANKED_BY)
    assert all(METRICS[name].short for name in COSTS.values())


def test_every_true_value_is_a_metric_of_the_truth():
    truths = {metric.truth for metric in METRICS.values()} - {""}
    assert truths == {name for name in of_family("truth") if name.startswith("true_")}
