import math

import numpy as np
import pytest
from scipy import stats

from flowbench.metrics import METRICS
from flowbench.report.judgement.estimates import Estimates, estimate
from tests.report.made_up import frame


def test_estimate_is_the_mean_with_students_interval():
    # t(0.975, 2 degrees of freedom) = 4.3027 and the standard error of 1, 2, 3 is 1/√3.
    e = estimate([1.0, 2.0, 3.0])
    assert (e.value, e.seeds, e.least, e.most) == (2.0, 3, 1.0, 3.0)
    assert (e.low, e.high) == pytest.approx(
        (2 - 4.302652729911275 / math.sqrt(3), 2 + 4.302652729911275 / math.sqrt(3))
    )


def test_intervals_of_sizes_stay_positive_and_hold_the_mean():
    # Sampling rates of three seeds; Student's interval of their own is 1,044 ± 1,900.
    e = estimate([500.0, 800.0, 1832.0], size=True)
    assert e.value == pytest.approx(1044.0)
    assert 0 < e.low < e.value < e.high
    logs = stats.t.interval(0.95, 2, np.log(e.values).mean(), stats.sem(np.log(e.values)))
    assert e.high / e.low == pytest.approx(math.exp(logs[1] - logs[0]))
    assert e.high / e.value == pytest.approx(e.value / e.low)
    # By its own values where one is not positive.
    assert estimate([0.0, 1.0, 2.0], size=True) == estimate([0.0, 1.0, 2.0])
    assert estimate([1e-300, 1.0, 1e300], size=True).low >= 0


@pytest.mark.parametrize("values", [[5.0], [1.0, 2.0], [1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_few_seeds_and_values_that_are_not_finite_have_no_interval(values):
    e = estimate(values, size=True)
    assert not e.known
    assert math.isnan(e.low)
    assert math.isnan(e.high)
    assert e.values == pytest.approx(tuple(values), nan_ok=True)


def test_bits_are_levels_and_errors_of_bits_are_sizes():
    levels = {"bits_per_dim", "nll_nats", "entropy_floor_bits_per_dim", "true_bits_per_dim", "latent_bits_per_dim"}
    levels |= {"teacher_bits_per_dim", "psnr"} | {f"{of}_mean_x{i}" for of in ("learnt", "true") for i in (1, 2)}
    assert {name for name, metric in METRICS.items() if metric.level} == levels
    for name in ("bits_per_dim", "bits_per_dim_solver_error"):
        found = Estimates(frame({"a": {name: [0.1, 0.2, 0.6]}})).get("a", name)
        expected = estimate(found.values, size=name not in levels)
        assert (found.low, found.high) == (expected.low, expected.high)


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
    values = {"bits_per_dim": [1.0, 1.2, 1.1], "entropy_floor_bits_per_dim": [0.9] * 3}
    assert Estimates(frame({"nice": values})).above_truth("nice").value == pytest.approx(0.2)
    values["true_bits_per_dim"] = [0.8] * 3
    above = Estimates(frame({"nice": values})).above_truth("nice")
    assert above.value == pytest.approx(0.3)
    wanted = estimate([0.2, 0.4, 0.3], size=True)
    assert (above.low, above.high) == pytest.approx((wanted.low, wanted.high))
