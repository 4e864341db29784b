import math

import pytest

from flowbench.report.judgement.estimates import Estimate, estimate
from flowbench.report.views.numbers import at_most, p_value, power, rate, significant, span, spread, written


def of(value, half=math.nan, seeds=3):
    """An estimate with an interval of equal halves."""
    return Estimate(value, value - half, value + half, (value,) * seeds)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (of(0.21837, 0.00213), "0.2184 ± 0.0021"),
        (of(-0.5, 0.25), "−0.50 ± 0.25"),
        (of(93.7331, 0.0252), "93.733 ± 0.025"),
        (of(1234.5, 67.0), "1,234 ± 67"),
        (of(0.000123, 0.000031), "0.000123 ± 0.000031"),
        (of(0.2183, 1e-9), "0.2183 ± <0.0001"),
        (of(0.2183, 0.0), "0.2183 ± <0.0001"),
        (of(0.0, 0.0), "0.0000 ± <0.0001"),
        (of(0.21837, seeds=1), "0.2184 (n = 1)"),
        (of(math.inf, seeds=3), "not finite"),
        (Estimate(0.05, 0.02, 0.125, (0.02, 0.03, 0.1)), "0.050 (0.020–0.125)"),
        (Estimate(0.25, math.nan, math.nan, (0.2, 0.3)), "0.2500 (0.2000, 0.3000)"),
        (None, "–"),
    ],
)
def test_spread(given, text):
    assert spread(given) == text


def test_a_single_seed_need_not_be_counted_at_every_number():
    assert spread(of(0.21837, seeds=1), count=False) == "0.2184"


def test_span():
    assert [span(*ends) for ends in ((14.0, 16.21), (2.0, 2.0), (2.001, 2.002))] == ["14–16", "2.00", "2.00"]


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
    assert [p_value(x) for x in (0.0314, 1e-5, None)] == ["0.031", "< 0.001", "–"]


@pytest.mark.parametrize(
    ("values", "form", "text"),
    [
        ([1.0, 2.0, 3.0], "interval", "2.0 ± 2.5"),
        ([0.02, 0.02], "mean", "0.0200"),
        ([1e-9, 3e-9], "power", "2.0 × 10⁻⁹"),
        ([1000.0, 1001.0], "count", "1,000"),
        ([0.9999, 1.0], "share", "1.0000"),
        ([-0.00001], "share", "0.0000"),
        ([12345.0], "rate", "12.3 k"),
        ([14.0, 16.2], "range", "14–16"),
        ([2.5], "times", "2.50 ×"),
        ([math.nan], "count", "not finite"),
        ([math.inf], "share", "not finite"),
    ],
)
def test_a_metric_is_written_in_the_form_of_the_catalogue(values, form, text):
    assert written(estimate(values), form) == text
    assert written(None, form) == "–"
