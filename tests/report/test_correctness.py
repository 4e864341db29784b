"""The tables of correctness, of noise and the figure of ranks, from values that are made up."""

import math

import pytest

from flowbench.metrics import LATENT_STDS
from flowbench.report import figures
from flowbench.report.cells import CellResult, load
from flowbench.report.comparisons import noise
from flowbench.report.correctness import agreement, criteria, stress
from flowbench.report.layout import Table
from flowbench.report.statistics import ranking


@pytest.fixture
def cell(report, tmp_path) -> CellResult:
    report({"digits-maf": ("digits", "maf")})
    return load(tmp_path / "results" / "digits-maf", "tiny")


def entries(table: Table) -> dict[str, str]:
    (row,) = table.rows
    return dict(zip(table.columns, (value.text for value in row.values), strict=True))


def test_limits_of_what_was_measured_are_shown(cell):
    exact = criteria([cell])
    assert exact.columns == ["what is compared", "limit"]
    measured = ("log_prob_error_max", "outside_share", "divergence_error_max", "solver_tolerance")
    cell.values.update({metric: {0: 1e-5} for metric in measured})
    solved = criteria([cell])
    assert solved.columns == ["what is compared", "limit", "limit with a solver"]
    limits = {row.values[0].text: [value.text for value in row.values[1:]] for row in solved.rows}
    assert limits["log-determinant, against autograd"] == ["1.0 × 10⁻⁸ nats", "1.0 × 10⁻³ nats"]
    assert limits["samples, there and back in float64"] == ["1.0 × 10⁻³ bits per dim", "1.0 × 10⁻² bits per dim"]
    new = {"divergence, against autograd", "mass on the grid and samples outside, from 1 in all"}
    assert new <= limits.keys()
    assert new.isdisjoint(row.values[0].text for row in exact.rows)


def test_misses_are_means_with_the_share_that_is_lost(cell):
    assert stress([cell]) == []
    for start in ("data", "samples", "noise", *(f"latents_{k}_std" for k in LATENT_STDS)):
        cell.values[f"l2_error_{start}"] = {0: 1e-6, 1: 3e-6, 2: 2e-6}
        cell.values[f"lost_share_{start}"] = {0: 0.0, 1: 0.0, 2: 0.3 if start == "latents_5_std" else 0.0}
    (table,) = stress([cell])
    found = entries(table)
    assert found["data"] == found["4 σ"] == "2.0 × 10⁻⁶"
    assert found["5 σ"] == "2.0 × 10⁻⁶ (10.0%)"


def test_densities_show_their_worst_seed(cell):
    cell.values.update(
        {
            "sample_log_prob_error_max": {0: 1e-14, 1: 2e-13, 2: 1e-15},
            "log_prob_error_max": {0: 1e-6, 1: math.inf, 2: 1e-6},
            "density_mass": {0: 0.9999, 1: 1.0, 2: 0.96},
            "outside_share": {0: 0.0, 1: 0.02, 2: 0.038},
        }
    )
    (table,) = agreement([cell])
    assert entries(table) == {
        "density there and back": "2.0 × 10⁻¹³",
        "density float32 – float64": "not finite",
        # With what is outside the second adds up to 1.02, and the third to 0.998.
        "mass on the grid": "1.0000",
        "samples outside": "0.0200",
        "verdict": "fails",
    }


def test_the_noise_of_evaluation_stands_beside_that_of_training(cell):
    cell.values["bits_per_dim"] = {0: 1.0, 1: 2.0, 2: 3.0}
    cell.values["bits_per_dim_standard_error"] = dict.fromkeys(range(3), 0.05)
    cell.values["bits_per_dim_noise_std"] = dict.fromkeys(range(3), 0.02)
    (table,) = noise([cell])
    # A mean over ten draws, as which it is made up.
    assert entries(table) == {"between seeds": "1.0", "dequantisation": "0.0063", "test split": "0.050"}
    # A mean over 4 probes of each of 100 examples is twenty times as certain as one of one.
    cell.values["noise_draws"] = dict.fromkeys(range(3), 1.0)
    cell.values.update(
        {
            "bits_per_dim_probe_std": dict.fromkeys(range(3), 0.4),
            "probes": dict.fromkeys(range(3), 4.0),
            "test_examples": dict.fromkeys(range(3), 100.0),
        }
    )
    (table,) = noise([cell])
    assert entries(table)["probes"] == "0.020"
    cell.values["noise_draws"] = dict.fromkeys(range(3), 4.0)
    (table,) = noise([cell])
    assert (entries(table)["dequantisation"], entries(table)["probes"]) == ("0.010", "0.010")


def test_one_draw_does_not_know_its_own_noise(report, tmp_path):
    cells = {"digits-maf": ("digits", "maf"), "digits-nice": ("digits", "nice")}
    report(cells)
    several, one = (load(tmp_path / "results" / key, "tiny") for key in cells)
    del one.values["bits_per_dim_noise_std"]
    one.values["noise_draws"] = dict.fromkeys(range(3), 1.0)
    (table,) = noise([several, one])
    assert [row.values[table.columns.index("dequantisation")].text for row in table.rows] == ["0.000063", "–"]
    assert noise([one]) == []


def test_ranks_that_tell_flows_apart_are_drawn(tmp_path):
    found = ranking({f"data {i}": {"nice": 3.0, "glow": 1.0, "maf": 2.0} for i in range(8)})
    assert found.conclusive
    figures.mean_ranks(tmp_path / "ranks.png", found, figures.looks(found.means))
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
