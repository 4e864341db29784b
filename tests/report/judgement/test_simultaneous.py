"""Comparisons of many means, against SciPy, and by what must hold for any values."""

import numpy as np
import pytest
from scipy import stats

from flowbench.report.judgement.simultaneous import LEVEL, compare, critical, moderated, standing

RNG = np.random.default_rng(0)


def test_two_flows_are_compared_by_welchs_t_test():
    values = RNG.normal([0.0, 1.0], [1.0, 2.0], (7, 2))
    degrees = np.array([6.0, 6.0])
    of = standing(values.mean(0), values.var(0, ddof=1) / 7, degrees)
    wanted = stats.ttest_ind(values[:, 1], values[:, 0], equal_var=False)
    worse = int(values[:, 1].mean() > values[:, 0].mean())
    assert of.p[worse] == pytest.approx(wanted.pvalue)
    assert of.p[1 - worse] == 1.0
    assert (of.low[1], of.high[1]) == pytest.approx(tuple(wanted.confidence_interval(1 - LEVEL)))


def test_more_flows_need_larger_differences():
    means, degrees = np.array([2, 3, 12]), np.full(3, 20.0)
    assert critical(means[:1], degrees[:1])[0] == pytest.approx(stats.t.ppf(0.975, 20))
    level = 1 - 0.95 ** (1 / 66)
    assert critical(means, degrees)[2] == pytest.approx(stats.t.isf(level / 2, 20))


def test_steps_tell_more_than_one_comparison_of_all_and_end_intervals_at_zero():
    near, far = [0.0, 3.6], [100.0 * i for i in range(1, 9)]
    of = standing(np.array(near + far), np.full(10, 0.5), np.full(10, 1e6))
    alone = standing(np.array(near), np.full(2, 0.5), np.full(2, 1e6))
    assert of.apart.tolist() == [False] + [True] * 9
    assert of.p[1] == pytest.approx(max(alone.p[1], of.p[2:].max()))
    assert critical(np.array(2), np.array(1e6)) < 3.6
    assert of.low[1] >= 0


def test_an_interval_has_one_sign_where_and_only_where_a_flow_is_told_apart():
    for seed in range(50):
        values = np.random.default_rng(seed).lognormal(np.linspace(0, 1.5, 6), 0.3, (4, 6))
        for ratios in (True, False):
            of = compare(values, ratios=ratios)
            assert of.apart.tolist() == (of.low >= 0).tolist()
            best = values.mean(0).argmin()
            assert not of.apart[best]
            assert (np.delete(of.low, best) <= np.delete(of.high, best)).all()


def test_the_chance_of_a_set_is_the_largest_on_the_way_to_it():
    of = standing(np.array([0.0, 5.0, 6.0, 7.0]), np.ones(4), np.full(4, 1e6))
    assert of.p[3] <= of.p[2] <= of.p[1] <= of.p[0] == 1.0


def test_higher_values_can_be_better():
    values = RNG.lognormal([0.0, 1.0, 2.0], 0.2, (6, 3))
    of, turned = compare(values, ratios=True, lower=False), compare(1 / values, ratios=True)
    assert of.apart.tolist() == turned.apart.tolist() == [True, True, False]
    behind = values.mean(0).max() - values.mean(0)
    assert (of.low[:2] < behind[:2]).all()
    assert (of.high[:2] > behind[:2]).all()


def test_ratios_do_not_depend_on_the_unit_and_differences_not_on_the_origin():
    values, shared = RNG.lognormal([0.0, 0.3, 1.0], 0.2, (5, 3)), 0.01 * (1 - np.eye(3))
    of, scaled = compare(values, ratios=True, shared=shared), compare(9 * values, ratios=True, shared=81 * shared)
    assert scaled.p == pytest.approx(of.p)
    assert scaled.low == pytest.approx(9 * of.low)
    moved = compare(values - 7, ratios=False, shared=shared)
    assert moved.high == pytest.approx(compare(values, ratios=False, shared=shared).high)


def test_noise_of_the_test_examples_makes_differences_less_clear():
    values = RNG.normal([0.0, 1.0], 0.1, (10, 2))
    shared = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert compare(values, ratios=False).apart[1]
    noisy = compare(values, ratios=False, shared=shared)
    assert not noisy.apart[1]
    # By many examples: the quantile is the normal one.
    assert noisy.high[1] - noisy.low[1] == pytest.approx(2 * 1.96, rel=0.01)


def test_others_than_candidates_are_compared_with_these_and_change_nothing_for_them():
    values = RNG.normal([0.0, 0.2, 1.0, -5.0, 5.0], 0.1, (10, 5))
    can = np.array([True, True, True, False, False])
    of = compare(values, ratios=False, candidates=can)
    assert of.apart[3]
    assert of.high[3] < 0
    assert of.apart[4]
    assert of.low[4] > 0
    variances, degrees = moderated(values.var(0, ddof=1), np.full(5, 9.0))
    alone = standing(values.mean(0)[:3], variances[:3] / 10, degrees[:3])
    assert of.p[:3] == pytest.approx(alone.p)


def test_alike_variances_borrow_and_unlike_ones_do_not():
    many = 0.25 * RNG.chisquare(2, 400) / 2
    drawn, degrees = moderated(many, np.full(400, 2.0))
    assert degrees.min() > 10
    assert np.log(drawn).std() < 0.3 * np.log(many).std()
    unlike = np.exp(RNG.normal(0, 4, 400)) * RNG.chisquare(9, 400) / 9
    drawn, degrees = moderated(unlike, np.full(400, 9.0))
    assert degrees.max() < 10
    assert np.corrcoef(np.log(drawn), np.log(unlike))[0, 1] > 0.9


def test_variances_of_zero_teach_nothing_and_one_alone_is_kept():
    drawn, degrees = moderated(np.array([0.0, 1.0, 1.1, 0.9]), np.full(4, 4.0))
    same, _ = moderated(np.array([1.0, 1.1, 0.9]), np.full(3, 4.0))
    assert drawn[1:] == pytest.approx(same)
    assert 0 < drawn[0] < 1
    drawn, degrees = moderated(np.array([2.0]), np.array([3.0]))
    assert (drawn[0], degrees[0]) == (2.0, 3.0)
    drawn, degrees = moderated(np.zeros(2), np.full(2, 3.0))
    assert drawn.tolist() == [0.0, 0.0]


def test_means_without_spread_are_told_apart_where_they_differ():
    of = compare(np.tile([1.0, 1.0, 2.0], (3, 1)), ratios=True)
    assert of.apart.tolist() == [False, False, True]
