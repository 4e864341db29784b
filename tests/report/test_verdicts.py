import math

import pytest

from flowbench import certify
from flowbench.report import verdicts
from flowbench.report.cells import CellResult
from flowbench.report.verdicts import TO_TOLERANCE, certification, density_verdict, note, verdict


def cell(likelihood="exact", seeds=(), not_measured=None, **values):
    """A cell whose metrics have the given values, seed by seed."""
    records = {str(i): record for i, record in enumerate(seeds or 3 * [{"status": "finished"}])}
    training = {"kind": "flow", "likelihood": likelihood, "seeds": records}
    found = {metric: dict(enumerate(of_seeds)) for metric, of_seeds in values.items()}
    return CellResult("key", "label", training, {}, {}, found, {}, {}, not_measured or {})


def continuous(errors, tightened, logdets=(1e-5, 1e-5), **values):
    return cell(
        solver_tolerance=[1e-5, 1e-5],
        invertibility_error_max=errors,
        invertibility_error_max_float64=errors,
        invertibility_error_max_tightened=tightened,
        logdet_error_max=logdets,
        **values,
    )


def test_the_report_asks_of_trained_flows_what_the_check_asks_of_random_ones():
    assert certify.LARGEST_ROUND_TRIP_ERROR == certify.LARGEST_LOGDET_ERROR == verdicts.LARGEST_FLOAT64_ERROR


@pytest.mark.parametrize(
    ("of", "float32", "float64"),
    [
        (continuous([1e-4, 1e-5], [1e-5, 1e-6]), "passes", TO_TOLERANCE),
        (continuous([1e-4, 1e-5], [1e-5, 1e-5]), "passes", "fails"),
        (continuous([2e-3, 1e-5], [1e-4, 1e-6]), "fails", "fails"),
        (continuous([1e-4, math.nan], [1e-5, 1e-6]), "fails", "fails"),
        (continuous([1e-4, 1e-5], [1e-5, math.nan]), "passes", "fails"),
        (continuous([1e-4, 1e-5], [1e-5, 1e-6], logdets=[1e-5, 2e-3]), "passes", "fails"),
        (continuous([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[1e-12, 1e-13]), "passes", TO_TOLERANCE),
        (continuous([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[1e-12, 1e-7]), "passes", "fails"),
        (continuous([1e-4, 1e-5], [1e-5, 1e-6], divergence_error_max=[math.nan, 1e-13]), "passes", "fails"),
        (continuous([1e-4, 1e-5], [1e-5]), "passes", "–"),
        (continuous([], []), "–", "–"),
        (continuous([1e-4, 1e-5], [1e-5, 1e-6], logdets=()), "passes", "round trip passes"),
        (continuous([1e-4], [1e-5], logdets=(), divergence_error_max=[1e-12]), "passes", TO_TOLERANCE),
    ],
)
def test_a_continuous_flow_is_held_to_its_solver(of, float32, float64):
    assert (verdict(of, "float32"), verdict(of, "float64")) == (float32, float64)
    assert ("fails certification" in note(of)) == ("fails" in (float32, float64))


def test_certification_speaks_of_solvers_where_there_are_some():
    assert TO_TOLERANCE in certification([cell(), continuous([1e-4], [1e-5])])
    assert TO_TOLERANCE not in certification([cell()])


def test_certification_speaks_of_probes_where_there_are_some():
    assert "probes" in certification([continuous([1e-4], [1e-5], probes=[2.0])])
    assert "probes" not in certification([continuous([1e-4], [1e-5])])


def test_what_was_lost_is_noted():
    lost = [{"status": "diverged", "diverged_at": 9}, {"status": "failed", "reason": "why"}, {"status": "finished"}]
    assert note(cell(seeds=lost)) == "1 of 3 diverged, 1 of 3 failed"
    assert note(cell(not_measured={1: "why"})) == "measured in part"


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
        ({"density_mass": [0.6, 1.0]}, "–"),
        ({"density_mass": [0.6, 1.0], "outside_share": [0.395, 0.005]}, "passes"),
        ({"density_mass": [0.6, 1.0], "outside_share": [0.38, 0.0]}, "fails"),
        ({"density_mass": [1.0, 1.0], "outside_share": [0.02, 0.0]}, "fails"),
        ({"density_mass": [math.nan, 1.0], "outside_share": [0.0, 0.0]}, "fails"),
    ],
)
def test_a_density_is_one_and_whole(values, word):
    assert density_verdict(cell(**values)) == word
    assert ("fails certification of its density" in note(cell(**values))) == (word == "fails")
