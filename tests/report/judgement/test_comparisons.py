"""What is compared; paired differences, Holm's correction and ranks, against SciPy, brute force, published values."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flowbench.report.judgement.comparisons import (
    comparable,
    critical_difference,
    differences,
    flow_ranking,
    holm,
    mean_scores,
    paired,
    ranking,
)
from tests.report.made_up import frame

RNG = np.random.default_rng(0)


def near(x):
    """Three seeds around x with an interval of about 0.025."""
    return [x - 0.01, x, x + 0.01]


def scores(*columns):
    """A table of scores; each column is a list by seed, or a dict."""
    return pd.DataFrame({f"c{i}": pd.Series(values) for i, values in enumerate(columns)}, dtype=float)


def test_only_values_over_the_same_number_of_examples_are_compared():
    cells = {name: {"bits_per_dim": near(1), "energy_distance": near(1)} for name in ("nice", "glow", "cnf")}
    fewer = frame(cells, n={"cnf": 100})
    assert comparable(fewer, "bits_per_dim") == comparable(fewer, "energy_distance") == ["nice", "glow"]
    assert comparable(fewer[fewer["cell"] == "cnf"], "bits_per_dim") == ["cnf"]
    # The truth on the same examples makes bits per dim comparable; of distances it makes few samples no more.
    for values in cells.values():
        values["true_bits_per_dim"] = near(0.5)
    known = frame(cells, n={"cnf": 100})
    assert comparable(known, "bits_per_dim") == ["nice", "glow", "cnf"]
    assert comparable(known, "energy_distance") == ["nice", "glow"]


def test_what_is_not_finite_is_not_compared():
    cells = {"nice": near(1), "glow": [1.0, math.nan, 1.0], "maf": [math.inf] * 3}
    table = frame({name: {"bits_per_dim": values} for name, values in cells.items()})
    assert comparable(table, "bits_per_dim") == ["nice"]
    assert comparable(table, "kl_to_target") == []


def test_flows_are_compared_by_what_is_above_the_truth_on_their_own_examples():
    cells = {"nice": {"bits_per_dim": near(1), "true_bits_per_dim": [0.5] * 3}}
    cells["glow"] = {"bits_per_dim": near(1.2), "true_bits_per_dim": [0.9] * 3}
    means = {cell: e.value for cell, e in mean_scores(frame(cells, n={"glow": 50}), "bits_per_dim").items()}
    assert means == pytest.approx({"nice": 0.5, "glow": 0.3})


def test_a_difference_between_other_examples_holds_the_noise_of_both():
    values = {"true_bits_per_dim": [0.5] * 3, "bits_per_dim_standard_error": [0.1] * 3}
    cells = {"nice": {"bits_per_dim": near(2)} | values, "glow": {"bits_per_dim": near(2.1)} | values}
    same, apart = (differences(frame(cells, n=n), "bits_per_dim").pairs["nice", "glow"] for n in ({}, {"nice": 5}))
    assert same.significant
    assert not apart.significant
    assert apart.estimate.half == pytest.approx(float(stats.t.ppf(0.975, 2)) * math.hypot(0.1, 0.1), rel=1e-3)


def test_a_paired_difference_has_the_interval_and_the_p_value_of_a_paired_t_test():
    ours, theirs = RNG.normal(size=7), RNG.normal(0.3, size=7)
    found = paired(scores(ours, theirs)).pairs["c1", "c0"]
    wanted = stats.ttest_rel(ours, theirs)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.estimate.interval == pytest.approx(wanted.confidence_interval(0.95))
    assert found.estimate.seeds == 7
    assert found.significant == (wanted.pvalue < 0.05)


def test_seeds_are_paired_by_their_numbers():
    found = paired(scores({0: 1.0, 1: 2.0, 2: 3.0}, {2: 2.0, 1: 1.1, 7: 50.0})).pairs["c1", "c0"]
    assert found.estimate.value == pytest.approx(0.95)
    assert found.estimate.seeds == 2


def test_one_seed_and_what_is_not_finite_say_nothing():
    table = scores({0: 2.0}, {5: 1.0}, {0: 1.0, 1: 1.0}, {0: math.inf, 1: 3.0}, {0: 1.0, 1: 1.0})
    one, none, equal, infinite = paired(table).against("c4").values()
    assert (one.estimate.value, one.estimate.half, one.p, one.significant) == (1.0, None, None, False)
    assert (none.estimate, none.p) == (None, None)
    assert (equal.p, equal.significant) == (1.0, False)
    assert (infinite.estimate.value, infinite.estimate.seeds) == (2.0, 1)


def test_a_constant_difference_is_no_chance():
    assert paired(scores([2.0, 3.0], [1.0, 2.0])).pairs["c1", "c0"].p == 0.0


def test_differences_to_the_leader_are_corrected_for_all_pairs():
    values = RNG.normal(size=(3, 5)) + np.array([[0.0], [1.0], [2.0]])
    found = paired(scores(*values)).against("c0")
    pairs = holm([float(stats.ttest_rel(values[i], values[j]).pvalue) for i, j in ((0, 1), (0, 2), (1, 2))])
    assert [one.p for one in found.values()] == pytest.approx(pairs[:2])
    means = [one.estimate.value for one in found.values()]
    assert means == pytest.approx(list(values[1:].mean(1) - values[0].mean()))


def test_noise_beside_the_seeds_widens_the_interval_and_raises_p():
    ours, theirs = RNG.normal(size=(2, 5))
    error = stats.sem(ours - theirs)
    alone = paired(scores(ours, theirs)).pairs["c1", "c0"]
    both = paired(scores(ours, theirs), lambda a, b: 2.0 * error).pairs["c1", "c0"]
    assert both.estimate.value == alone.estimate.value
    assert both.estimate.half == pytest.approx(math.sqrt(5) * alone.estimate.half)
    t = (ours - theirs).mean() / (math.sqrt(5) * error)
    assert both.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    one = paired(scores([1.0], [0.0]), lambda a, b: 1.0).pairs["c1", "c0"]
    assert (one.estimate.half, one.p) == (None, None)


def test_of_flows_that_are_equal_the_leader_is_seldom_significantly_better():
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(300):
        table = scores(*rng.normal(size=(6, 5)))
        told += any(one.significant for one in paired(table).against(str(table.mean().idxmin())).values())
    assert told <= 0.05 * 300


def test_holm_multiplies_the_smallest_by_all_and_stays_in_order():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06], nan_ok=True)
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == holm([None])[:0] == []


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
    cells = {
        "nice": {"bits_per_dim": near(1)},
        "glow": {"bits_per_dim": near(2)},
        "gaussian": {"bits_per_dim": near(0)},
    }
    tables = [frame(cells, baselines=["gaussian"], data=data) for data in ("moons", "digits")]
    tables[1]["cell"] += "-digits"
    energy = frame({name: {"kl_to_target": near(i)} for i, name in enumerate(("glow", "nice"))}, data="two_modes")
    energy["cell"] += "-energy"
    found = flow_ranking(pd.concat([*tables, energy]))
    assert list(found.ranks.index) == ["moons", "digits", "two_modes"]
    assert found.means == pytest.approx({"nice": 4 / 3, "glow": 5 / 3})


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
    means = found.means.values()
    assert found.apart == (max(means) - min(means) >= found.critical_difference) == (order == "the same")
    assert not ranking(dict(list(of_data.items())[:2])).conclusive
