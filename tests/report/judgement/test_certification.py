import math

import pytest

from flowbench.certificates import LARGEST_LOGDET_ERROR, LARGEST_ROUND_TRIP_ERROR
from flowbench.report.judgement import certification
from flowbench.report.judgement.certification import TO_TOLERANCE, Certificate, certificates
from tests.report.made_up import frame


def judged(**values) -> Certificate:
    """The certificate of a cell whose metrics have the given values, seed by seed."""
    return certificates(frame({"cell": {"bits_per_dim": [1.0, 1.0]} | values}))["cell"]


def solved(errors, tightened, logdets=(1e-5, 1e-5), **values):
    values |= {"invertibility_error_max": errors, "invertibility_error_max_float64": errors}
    return (
        {"solver_tolerance": [1e-5, 1e-5], "invertibility_error_max_tightened": tightened}
        | {"logdet_error_max": logdets}
        | values
    )


def test_the_report_asks_of_trained_flows_what_the_check_asks_of_random_ones():
    limit = certification.LARGEST_FLOAT64_ERROR
    assert LARGEST_ROUND_TRIP_ERROR == LARGEST_LOGDET_ERROR == limit


@pytest.mark.parametrize(
    ("values", "float32", "float64"),
    [
        ({}, "–", "–"),
        ({"invertibility_error_max": [1e-9, 0.0011]}, "fails", "–"),
        ({"invertibility_error_max": [1e-9, math.nan]}, "fails", "–"),
        ({"invertibility_error_max": [1e-9, 9e-4]}, "passes", "–"),
        ({"invertibility_error_max_float64": [1e-12], "logdet_error_max": [1e-12]}, "–", "passes"),
        ({"invertibility_error_max_float64": [1.1e-8], "logdet_error_max": [1e-12]}, "–", "fails"),
        ({"invertibility_error_max_float64": [1e-12], "logdet_error_max": [math.inf]}, "–", "fails"),
        ({"invertibility_error_max_float64": [1e-12]}, "–", "round trip passes"),
    ],
)
def test_a_flow_fails_by_its_worst_seed(values, float32, float64):
    found = judged(**values)
    assert (found.float32, found.float64) == (float32, float64)
    assert found.failed == [name for name, word in (("float32", float32), ("float64", float64)) if word == "fails"]


@pytest.mark.parametrize(
    ("values", "float32", "float64"),
    [
        (solved([1e-4, 1e-5], [1e-5, 1e-6]), "passes", TO_TOLERANCE),
        (solved([1e-4, 1e-5], [1e-5, 1e-5]), "passes", "fails"),
        (solved([2e-3, 1e-5], [1e-4, 1e-6]), "fails", "fails"),
        (solved([1e-4, math.nan], [1e-5, 1e-6]), "fails", "fails"),
        (solved([1e-4, 1e-5], [1e-5, math.nan]), "passes", "fails"),
        (solved([1e-4, 1e-5], [1e-5, 1e-6], logdets=[1e-5, 2e-3]), "passes", "fails"),
        (solved([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[1e-12, 1e-13]), "passes", TO_TOLERANCE),
        (solved([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[1e-12, 1e-7]), "passes", "fails"),
        (solved([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[math.nan, 1e-13]), "passes", "fails"),
        (solved([1e-4, 1e-5], [1e-5]), "passes", "–"),
        (solved([], []), "–", "–"),
        (solved([1e-4, 1e-5], [1e-5, 1e-6], logdets=()), "passes", "round trip passes"),
        (solved([1e-4], [1e-5], logdets=(), divergence_error_max=[1e-12]), "passes", TO_TOLERANCE),
    ],
)
def test_a_continuous_flow_is_held_to_its_solver(values, float32, float64):
    found = judged(**values)
    assert (found.float32, found.float64) == (float32, float64)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "–"),
        ({"log_prob_error_max": [1e-5, 9e-4]}, "passes"),
        ({"log_prob_error_max": [1e-5, 2e-3]}, "fails"),
        ({"log_prob_error_max": [1e-5, math.nan]}, "fails"),
        ({"sample_log_prob_error_max": [1e-13, 9e-4]}, "passes"),
        ({"sample_log_prob_error_max": [1e-13, 2e-3], "log_prob_error_max": [1e-5, 1e-5]}, "fails"),
        ({"sample_log_prob_error_max": [1e-13, math.inf]}, "fails"),
        ({"sample_log_prob_error_max": [math.nan, 1e-13]}, "fails"),
        ({"sample_log_prob_error_max": [1e-13], "latent_invertibility_error_max_float64": [9.0]}, "passes"),
        ({"sample_log_prob_error_max": [1e-13], "latent_invertibility_error_max_float64": [math.inf]}, "fails"),
        ({"latent_invertibility_error_max_float64": [9.0]}, "–"),
        ({"sample_log_prob_error_max": [2e-3], "solver_tolerance": [1e-5]}, "passes"),
        ({"sample_log_prob_error_max": [2e-2], "solver_tolerance": [1e-5]}, "fails"),
        ({"log_prob_error_max": [2e-3], "solver_tolerance": [1e-5]}, "fails"),
        # The integral and the share outside certify nothing each: their sum does.
        ({"density_mass": [0.6, 1.0], "outside_share": [0.38, 0.0]}, "–"),
        ({"mass_error": [0.005, 0.01]}, "passes"),
        ({"mass_error": [0.0, 0.02]}, "fails"),
        ({"mass_error": [0.0, math.nan]}, "fails"),
    ],
)
def test_a_density_is_one_and_whole(values, word):
    found = judged(**values)
    assert found.density == word
    assert ("density" in found.failed) == (word == "fails")


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "–"),
        ({"latent_invertibility_error_max": [1e-5, 9.0]}, "passes"),
        ({"latent_invertibility_error_max": [1e-5, math.inf]}, "fails"),
        ({"latent_invertibility_error_max": [math.nan, 1e-5]}, "fails"),
        ({"latent_invertibility_error_max": [1e-5, 1e-5], "lost_share_samples": [0.0, 0.0]}, "passes"),
        ({"latent_invertibility_error_max": [1e-5, 1e-5], "lost_share_samples": [0.0, 2e-3]}, "fails"),
        ({"latent_invertibility_error_max": [1e-5, math.inf], "lost_share_samples": [0.0, 1e-3]}, "passes"),
    ],
)
def test_samples_come_back(values, word):
    found = judged(**values)
    assert found.samples == word
    assert found.failed == ["samples"] * (word == "fails")


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({"invertibility_error_max": [1e-9, 9e-4]}, []),
        ({"invertibility_error_max": [1e-9, 2e-3]}, [("float32", "invertibility_error_max", 2e-3, 1e-3)]),
        ({"logdet_error_max": [math.nan, 1e-9]}, [("float64", "logdet_error_max", math.inf, 1e-8)]),
        (
            {"log_prob_error_max": [1e-5, 2e-3], "sample_log_prob_error_max": [1e-9, 2e-3]},
            [("density", f"{of}log_prob_error_max", 2e-3, 1e-3) for of in ("", "sample_")],
        ),
        ({"lost_share_samples": [0.0, 2e-3]}, [("samples", "lost_share_samples", 2e-3, 1e-3)]),
        (solved([1e-4, 1e-5], [2e-4, 1e-6]), [("float64", "invertibility_error_max_tightened", 2e-4, 1e-4)]),
    ],
)
def test_each_failure_has_its_reasons(values, reasons):
    assert [(r.certificate, r.metric, r.value, r.limit) for r in judged(**values).reasons] == reasons


def test_every_failure_has_a_reason():
    """Also where only one of several seeds does not come nearer with a tighter tolerance."""
    found = judged(**solved([1e-4, 1e-5], [1e-5, 1e-5]))
    assert found.failed == ["float64"]
    assert [reason.certificate for reason in found.reasons] == ["float64"]


def test_a_seed_that_comes_no_nearer_fails_also_where_another_was_not_tried():
    assert judged(**solved([1e-4, 1e-5], [2e-4, math.nan])).float64 == "fails"
    missing = frame({"cell": solved([1e-4, 1e-5], [2e-4]) | {"bits_per_dim": [1.0, 1.0]}})
    assert certificates(missing)["cell"].float64 == "fails"
    missing = frame({"cell": solved([1e-4, 1e-5], [1e-5]) | {"bits_per_dim": [1.0, 1.0]}})
    assert certificates(missing)["cell"].float64 == "–"


def test_lost_seeds_are_not_judged():
    table = frame({"nice": {"invertibility_error_max": [1e-5, 1.0]}})
    table.loc[table["seed"] == 1, "lost"] = True
    assert certificates(table)["nice"].float32 == "passes"
    table["lost"] = True
    assert certificates(table) == {"nice": Certificate()}
