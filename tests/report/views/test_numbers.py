import math

import pytest

from flowbench.report.judgement.estimates import Estimate, estimate
from flowbench.report.views.numbers import at_most, power, rate, significant, span, spread, written


def e(value, low, high, seeds=3):
    return Estimate(value, low, high, (value,) * seeds)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (e(0.21837, 0.21624, 0.2205), "0.2184 ± 0.0021"),
        (e(-0.5, -0.75, -0.25), "−0.50 ± 0.25"),
        (e(93.7331, 93.7079, 93.7583), "93.733 ± 0.025"),
        (e(1234.5, 1167.5, 1301.5), "1,234 ± 67"),
        (e(0.000123, 0.000092, 0.000154), "0.000123 ± 0.000031"),
        (e(0.2183, 0.2183 - 1e-9, 0.2183 + 1e-9), "0.2183 ± <0.0001"),
        (e(0.2183, 0.2183, 0.2183), "0.2183 ± <0.0001"),
        (e(0.0, 0.0, 0.0), "0.0000 ± <0.0001"),
        (e(0.023, 0.0102, 0.0563), "0.023 (0.010 to 0.056)"),
        (e(1044.0, 263.0, 4144.0), "1,044 (263 to 4,100)"),
        (e(0.023, 0.0001, 1e30), "0.0230 (up to 1.0 × 10³⁰)"),
        (e(0.21837, math.nan, math.nan, 1), "0.2184 (n = 1)"),
        (Estimate(0.22, math.nan, math.nan, (0.21, 0.23)), "0.2100, 0.2300"),
        (e(math.inf, math.nan, math.nan), "not finite"),
        (None, "–"),
    ],
)
def test_spread(given, text):
    assert spread(given) == text


def test_a_single_seed_need_not_be_counted_at_every_number():
    assert spread(e(0.21837, math.nan, math.nan, 1), count=False) == "0.2184"


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
