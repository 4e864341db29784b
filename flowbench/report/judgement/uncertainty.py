"""Where the uncertainty of bits per dim comes from."""

from __future__ import annotations

import math
import statistics

from flowbench.report.judgement.estimates import Estimates


def between_seeds(estimates: Estimates, cell: str) -> float | None:
    """Standard deviation of the seeds' bits per dim."""
    bits = estimates.get(cell, "bits_per_dim")
    if bits is None or bits.seeds < 2 or not bits.finite:
        return None
    return statistics.stdev(bits.values)


def of_dequantisation(estimates: Estimates, cell: str) -> float | None:
    """Standard error of the mean over draws of the noise, from the spread of single draws; one draw has none."""
    spread, draws = estimates.value(cell, "bits_per_dim_noise_std"), estimates.value(cell, "noise_draws")
    return spread / math.sqrt(draws) if spread is not None and draws else None


def of_probes(estimates: Estimates, cell: str) -> float | None:
    """Standard error of the mean over test examples and probes, from the spread of a single probe of one example.

    Each draw of the dequantisation noise has probes of its own.
    """
    spread, probes = estimates.value(cell, "bits_per_dim_probe_std"), estimates.value(cell, "probes")
    bits, draws = estimates.get(cell, "bits_per_dim"), estimates.value(cell, "noise_draws") or 1
    return spread / math.sqrt(probes * bits.n * draws) if spread is not None and probes and bits else None


def of_test_split(estimates: Estimates, cell: str) -> float | None:
    """Standard error by the test examples."""
    return estimates.value(cell, "bits_per_dim_standard_error")
