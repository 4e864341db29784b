import math

import pytest

from flowbench.report.numbers import Estimate, at_most, estimate, marks, power, rate, significant, span, spread


def test_estimate_is_the_mean_with_students_interval():
    # t(0.975, 2 degrees of freedom) = 4.3027 and the standard error of 1, 2, 3 is 1/√3.
    e = estimate([1.0, 2.0, 3.0])
    assert (e.mean, e.n) == (2.0, 3)
    assert e.half == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert estimate([5.0]) == Estimate(5.0, None, 1)


def test_estimate_of_a_value_that_is_not_finite_has_no_interval():
    e = estimate([1.0, math.nan])
    assert math.isnan(e.mean)
    assert e.half is None


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


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Estimate(0.21837, 0.00213, 3), "0.2184 ± 0.0021"),
        (Estimate(-0.5, 0.25, 3), "−0.50 ± 0.25"),
        (Estimate(93.7331, 0.0252, 3), "93.733 ± 0.025"),
        (Estimate(1234.5, 67.0, 3), "1,234 ± 67"),
        (Estimate(0.000123, 0.000031, 3), "0.000123 ± 0.000031"),
        (Estimate(0.2183, 1e-9, 3), "0.2183 ± <0.0001"),
        (Estimate(0.2183, 0.0, 3), "0.2183 ± <0.0001"),
        (Estimate(0.0, 0.0, 3), "0.0000 ± <0.0001"),
        (Estimate(0.21837, None, 1), "0.2184 (n = 1)"),
        (Estimate(math.inf, None, 3), "not finite"),
        (None, "–"),
    ],
)
def test_spread(given, text):
    assert spread(given) == text


def test_a_single_seed_need_not_be_counted_at_every_number():
    assert spread(Estimate(0.21837, None, 1), count=False) == "0.2184"


def test_span():
    assert [span(values) for values in ([16.21, 14.0, 15.0], [2.0], [2.001, 2.002], [])] == [
        *("14–16", "2.00", "2.00", "–")
    ]


def test_a_bound_is_rounded_up():
    assert [at_most(x) for x in (0.01308, 0.00501, 0.0050, 0.3, 0.996, 121.0, 0.0, math.nan)] == [
        *("0.014", "0.0051", "0.0050", "0.30", "1.0", "130", "0", "not finite")
    ]


def test_single_numbers():
    assert [significant(x) for x in (1234567.0, 49.04, 0.5, -1.0, 0.0, None, math.inf)] == [
        *("1,230,000", "49.0", "0.500", "−1.00", "0", "–", "not finite")
    ]
    assert [power(x) for x in (2.44e-7, 0.0, 3.0, math.nan)] == ["2.4 × 10⁻⁷", "0", "3.0 × 10⁰", "not finite"]
    assert [rate(x) for x in (12345.0, 1.2e6, 999.0)] == ["12.3 k", "1.20 M", "999"]
