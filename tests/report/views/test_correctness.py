"""The tables of certification, from cells that are made up."""

import math

from flowbench.metrics import LATENT_STDS
from flowbench.report.judgement.certification import TO_TOLERANCE
from flowbench.report.views import correctness
from tests.report.made_up import entries


def test_limits_of_what_was_measured_are_shown(made):
    exact = correctness.criteria(made())
    assert list(exact.frame) == ["what is compared", "limit"]
    assert TO_TOLERANCE not in correctness.certification(made())
    measured = ("log_prob_error_max", "mass_error", "divergence_error_max", "solver_tolerance", "probes")
    of = made(values={"moons-nice": dict.fromkeys(measured, 1e-5)})
    solved = correctness.criteria(of)
    assert list(solved.frame) == ["what is compared", "limit", "limit with a solver"]
    limits = {what.text: [limit.text for limit in row] for what, *row in solved.frame.to_numpy().tolist()}
    assert limits["log-determinant, against autograd"] == ["1.0 × 10⁻⁸ nats", "1.0 × 10⁻³ nats"]
    assert limits["samples, there and back in float64"] == ["1.0 × 10⁻³ bits per dim", "1.0 × 10⁻² bits per dim"]
    new = {"divergence, against autograd", "mass on the grid and samples outside, from 1 in all"}
    assert new <= limits.keys()
    assert new.isdisjoint(what.text for what in exact.frame["what is compared"])
    assert TO_TOLERANCE in correctness.certification(of)
    assert "probes" in correctness.certification(of)


def test_certificates_are_apart_by_precision_and_leave_out_what_has_no_round_trip(made):
    values = {"moons-nice": {"invertibility_error_max": [1e-6, 0.0011, 1e-6]}, "moons-maf": {"logdet_error_max": None}}
    _, float32, float64 = map(entries, correctness.correctness(made(values=values)))
    assert list(float32) == list(float64) == ["moons-nice", "moons-realnvp", "moons-maf"]
    assert list(float32["moons-nice"]) == ["verdict", "data, max", "data, mean", "latent, max"]
    assert list(float64["moons-nice"]) == ["verdict", "data, max", "latent, max", "log-det., max"]
    assert [row["verdict"] for row in float32.values()] == ["fails", "passes", "passes"]
    assert [row["verdict"] for row in float64.values()] == ["passes", "passes", "round trip passes"]
    assert float32["moons-nice"]["data, max"] == "1.1 × 10⁻³"


def test_densities_show_errors_of_the_worst_seed_and_the_mean_mass(made):
    key = "moons-nice"
    values = {
        "sample_log_prob_error_max": [1e-14, 2e-13, 1e-15],
        "log_prob_error_max": [1e-6, math.inf, 1e-6],
        "density_mass": [0.9999, 1.0, 0.96],
        "outside_share": [0.0, 0.02, 0.038],
        "mass_error": [0.0001, 0.02, 0.002],
    }
    *_, table = correctness.correctness(made(values={key: values}))
    assert entries(table)["moons-nice"] == {
        "density there and back": "2.0 × 10⁻¹³",
        "density float32 – float64": "not finite",
        "mass on grid": "0.9866",
        "samples outside": "0.0193",
        "mass error": "2.0 × 10⁻²",
        "verdict": "fails",
    }


def test_misses_are_means_with_the_share_that_is_lost(made):
    assert correctness.stress(made()).empty
    starts = ("data", "samples", "noise", *(f"latents_{k}_std" for k in LATENT_STDS))
    values = {f"l2_error_{start}": [1e-6, 3e-6, 2e-6] for start in starts} | {"lost_share_latents_5_std": [0, 0, 0.3]}
    table = correctness.stress(made(values={"moons-nice": values | {"lost_share_data": [0, 0, 1e-5]}}))
    row = entries(table)["moons-nice"]
    assert row["4 σ"] == "2.0 × 10⁻⁶"
    assert row["5 σ"] == "2.0 × 10⁻⁶ (10.0%)"
    assert row["data"] == "2.0 × 10⁻⁶ (<0.1%)"
    assert row["verdict on samples"] == "passes"


def test_a_refusal_names_the_error_and_its_limit(made):
    of = made(values={"moons-nice": {"invertibility_error_max": [1e-6, 0.0011, 1e-6]}})
    assert correctness.refusals(of) == {
        "moons-nice": ["float32: data, max is 1.1 × 10⁻³, and the limit is 1.0 × 10⁻³"],
    }
