"""Paired differences, Holm's correction and ranks, against SciPy, brute force and published values."""

import math

import numpy as np
import pytest
from scipy import stats

from flowbench.report.statistics import critical_difference, holm, paired, ranking

RNG = np.random.default_rng(0)


def test_a_paired_difference_has_the_interval_and_the_p_value_of_a_paired_t_test():
    ours, theirs = RNG.normal(size=7), RNG.normal(0.3, size=7)
    (found,) = paired([dict(enumerate(ours)), dict(enumerate(theirs))], 1)
    wanted = stats.ttest_rel(ours, theirs)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.estimate.interval == pytest.approx(wanted.confidence_interval(0.95))
    assert found.estimate.n == 7
    assert found.significant == (wanted.pvalue < 0.05)


def test_seeds_are_paired_by_their_numbers():
    ours, theirs = {0: 1.0, 1: 2.0, 2: 3.0}, {2: 2.0, 1: 1.1, 7: 50.0}
    (found,) = paired([ours, theirs], 1)
    assert found.estimate.mean == pytest.approx(0.95)
    assert found.estimate.n == 2


def test_one_seed_and_what_is_not_finite_say_nothing():
    scores = [{0: 2.0}, {5: 1.0}, {0: 1.0, 1: 1.0}, {0: math.inf, 1: 3.0}, {0: 1.0, 1: 1.0}]
    one, none, equal, infinite = paired(scores, 4)
    assert (one.estimate.mean, one.estimate.half, one.p, one.significant) == (1.0, None, None, False)
    assert (none.estimate, none.p) == (None, None)
    assert (equal.p, equal.significant) == (1.0, False)
    assert (infinite.estimate.mean, infinite.estimate.n) == (2.0, 1)


def test_a_constant_difference_is_no_chance():
    (found,) = paired([{0: 2.0, 1: 3.0}, {0: 1.0, 1: 2.0}], 1)
    assert found.p == 0.0


def test_differences_to_the_leader_are_corrected_for_all_pairs():
    scores = RNG.normal(size=(3, 5)) + np.array([[0.0], [1.0], [2.0]])
    found = paired([dict(enumerate(row)) for row in scores], 0)
    pairs = holm([float(stats.ttest_rel(scores[i], scores[j]).pvalue) for i, j in ((0, 1), (0, 2), (1, 2))])
    assert [one.p for one in found] == pytest.approx(pairs[:2])
    assert [one.estimate.mean for one in found] == pytest.approx(list(scores[1:].mean(1) - scores[0].mean()))


def test_noise_beside_the_seeds_widens_the_interval_and_raises_p():
    ours, theirs = RNG.normal(size=(2, 5))
    scores = [dict(enumerate(ours)), dict(enumerate(theirs))]
    error = stats.sem(ours - theirs)
    (alone,), (both,) = paired(scores, 1), paired(scores, 1, lambda i, j: 2.0 * error)
    assert both.estimate.mean == alone.estimate.mean
    assert both.estimate.half == pytest.approx(math.sqrt(5) * alone.estimate.half)
    t = (ours - theirs).mean() / (math.sqrt(5) * error)
    assert both.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    (one,) = paired([{0: 1.0}, {0: 0.0}], 1, lambda i, j: 1.0)
    assert (one.estimate.half, one.p) == (None, None)


def test_of_flows_that_are_equal_the_leader_is_seldom_significantly_better():
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(500):
        scores = rng.normal(size=(6, 5))
        found = paired([dict(enumerate(row)) for row in scores], int(scores.mean(1).argmin()))
        told += any(one.significant for one in found)
    assert told <= 0.05 * 500


def test_holm_multiplies_the_smallest_by_all_and_stays_in_order():
    assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06], nan_ok=True)
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_by_chance_holm_finds_a_difference_in_one_of_twenty_tables():
    p = RNG.uniform(size=(4000, 6))
    found = np.mean([any(value < 0.05 for value in holm(list(row))) for row in p])
    assert found == pytest.approx(0.05, abs=0.012)


def test_ranks_share_ties_and_take_the_largest_full_table():
    scores = {
        "a": {"x": 1.0, "y": 2.0, "z": 2.0, "only": 0.0},
        "b": {"x": 3.0, "y": 1.0, "z": 5.0},
        "c": {"x": 0.0, "y": 9.0},
    }
    found = ranking(scores)
    assert found.ranks == {"a": {"x": 1.0, "y": 2.5, "z": 2.5}, "b": {"x": 2.0, "y": 1.0, "z": 3.0}}
    assert found.means == {"x": 1.5, "y": 1.75, "z": 2.75}
    assert list(found.means) == ["x", "y", "z"]
    assert not found.conclusive
    assert ranking({"a": {"x": 1.0, "y": 2.0}, "b": {"x": 1.0}}) is None
    assert ranking({}) is None


# Demšar (2006), section 3.2.2: α = 0.05, 4 classifiers on 14 data sets; and table 5a's q for 2 and 10.
@pytest.mark.parametrize(
    ("names", "data_sets", "wanted"),
    [(4, 14, 1.25), (2, 1, 1.960), (10, 1, 3.164 * math.sqrt(110 / 6))],
)
def test_the_critical_difference_is_the_published_one(names, data_sets, wanted):
    assert critical_difference(names, data_sets) == pytest.approx(wanted, rel=0.005)


def test_many_data_sets_tell_the_first_from_the_last():
    scores = {f"data {i}": {"x": 0.0, "y": 1.0, "z": 2.0} for i in range(8)}
    assert ranking(scores).conclusive
    assert not ranking(dict(list(scores.items())[:2])).conclusive
