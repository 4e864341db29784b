import math

import pytest

from flowbench.report.judgement.estimates import Estimate, Estimates, estimate, marks
from tests.report.made_up import frame


def test_estimate_is_the_mean_with_students_interval():
    # t(0.975, 2 degrees of freedom) = 4.3027 and the standard error of 1, 2, 3 is 1/√3.
    e = estimate([1.0, 2.0, 3.0])
    assert (e.value, e.seeds, e.low, e.high) == (2.0, 3, 1.0, 3.0)
    assert e.half == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert (estimate([5.0]).value, estimate([5.0]).half) == (5.0, None)


def test_estimate_of_a_value_that_is_not_finite_has_no_interval():
    e = estimate([1.0, math.nan])
    assert math.isnan(e.value)
    assert e.half is None


def test_seeds_are_combined_as_the_catalogue_says():
    values = {"bits_per_dim": [1.0, 2.0], "logdet_error_max": [1e-9, 3e-9], "mass_error": [0.001, math.nan]}
    found = Estimates(frame({"nice": values}))
    assert found.value("nice", "bits_per_dim") == 1.5
    assert found.value("nice", "logdet_error_max") == 3e-9
    assert found.value("nice", "mass_error") == math.inf
    assert found.get("nice", "kl_to_target") is None


def test_lost_seeds_do_not_count():
    table = frame({"nice": {"train_seconds": [10.0, 20.0]}})
    table.loc[table["seed"] == 1, "lost"] = True
    assert Estimates(table).value("nice", "train_seconds") == 10.0


def test_bits_are_above_the_truth_on_the_same_examples_where_that_is_known():
    values = {"bits_per_dim": [1.0, 1.2], "entropy_floor_bits_per_dim": [0.9, 0.9]}
    assert Estimates(frame({"nice": values})).above_truth("nice").value == pytest.approx(0.2)
    values["true_bits_per_dim"] = [0.8, 0.8]
    above = Estimates(frame({"nice": values})).above_truth("nice")
    assert above.value == pytest.approx(0.3)
    assert above.half == pytest.approx(estimate([1.0, 1.2]).half)


@pytest.mark.parametrize(
    ("estimates", "better", "expected"),
    [
        ([Estimate(1, 0.1, 3), Estimate(2, 0.1, 3)], "lower", ["best", ""]),
        ([Estimate(1, 0.1, 3), Estimate(2, 0.1, 3)], "higher", ["", "best"]),
        ([Estimate(1, 0.1, 3), Estimate(1.08, 0.1, 3), Estimate(2, 0.1, 3)], "lower", ["tie", "tie", ""]),
        # Intervals overlap, but only a mean within the leader's is one that the leader does not beat.
        ([Estimate(1, 0.1, 3), Estimate(1.15, 0.1, 3), Estimate(1.05, 0.5, 3)], "lower", ["tie", "", "tie"]),
        # The third might be the best, and is a leader no more than the second: it is only more uncertain.
        ([Estimate(0.013, 0.002, 3), Estimate(0.02, 0.001, 3), Estimate(16, 38, 3)], "lower", ["tie", "", ""]),
        ([Estimate(5, 1, 3), Estimate(4.5, 0.1, 3), Estimate(2, 4, 3)], "higher", ["tie", "tie", ""]),
        ([Estimate(1, None, 1), Estimate(2, None, 1)], "lower", ["", ""]),
        # Of a single seed nobody knows how far off it may be.
        ([Estimate(1, 0.1, 3), Estimate(1.15, None, 1)], "lower", ["tie", ""]),
        ([Estimate(1, 0.1, 3), Estimate(1.05, None, 1), Estimate(2, 0.1, 3)], "lower", ["tie", "tie", ""]),
        ([Estimate(math.nan, None, 3), Estimate(2, 0.1, 3), None, Estimate(3, 0.1, 3)], "lower", ["", "best", "", ""]),
        ([Estimate(1, 0.1, 3)], "lower", [""]),
        ([None, None], "lower", ["", ""]),
    ],
)
def test_marks(estimates, better, expected):
    assert marks(estimates, better) == expected
