"""What must be said of a cell before its numbers are compared: whether it is certified, and what was lost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowbench.report.cells import CellResult

# What `flowbench check` asks of random models in float64, asked of trained ones on test data; and what a benchmarked
# flow must reach in the precision that it is used in.
LARGEST_FLOAT64_ERROR = 1e-8
LARGEST_FLOAT32_ERROR = 1e-3
# In bits per dim: between the densities of test data in float32 and float64, and between those of a sample by the way
# there and by the way back in float64.
LARGEST_DENSITY_ERROR = 1e-3
# By a solver the two ways end up to 1e-3 apart, as below, and log p changes along the way by its slope times that.
LARGEST_SOLVED_DENSITY_ERROR = 1e-2
# What the midpoint rule may miss of a 2-D density's integral, and 5,000 samples of the share outside of the grid.
LARGEST_MASS_ERROR = 0.01
TO_TOLERANCE = "to the solver's tolerance"


def certification(cells: Sequence[CellResult]) -> str:
    """What the limits of `correctness.criteria` leave to say."""
    text = (
        "A cell fails by its worst seed. The verdict looks at test data; that of a density also at samples, and at "
        "whether latents of the prior come back finite. How near latents come back, and noise off the data, does not "
        "count: these can fail in either precision, as their columns show."
    )
    if any(cell.continuous for cell in cells):
        text += (
            " The accuracy of a continuous flow is limited by its solver's tolerance; float32 is what its field "
            f"computes in, while the solver's state is float64. In float64 it passes “{TO_TOLERANCE}”."
        )
    if any("probes" in cell.values for cell in cells):
        text += (
            " Where Hutchinson's probes estimate a log-determinant, both of two densities that must be the same are "
            "estimated with the same probes, the log-determinant that is compared with autograd's is that of the exact "
            "divergence, and this is compared with what the probes estimate."
        )
    return text


def verdict(cell: CellResult, precision: str) -> str:
    """``passes`` or ``fails`` by the worst seed on test data, and a dash where nothing was measured."""
    if cell.continuous and precision == "float64":
        return _verdict_on_solver(cell)
    round_trip = {"float32": "invertibility_error_max", "float64": "invertibility_error_max_float64"}[precision]
    limit = {"float32": LARGEST_FLOAT32_ERROR, "float64": LARGEST_FLOAT64_ERROR}[precision]
    errors = [cell.worst(metric) for metric in [round_trip] + ["logdet_error_max"] * (precision == "float64")]
    measured = [error for error in errors if error is not None]
    if any(error >= limit for error in measured):
        return "fails"
    if errors[0] is None:
        return "–"
    return "passes" if len(measured) == len(errors) else "round trip passes"


def _verdict_on_solver(cell: CellResult) -> str:
    """Whether the errors of a continuous flow are its solver's, for those alone fall with the tolerance."""
    errors = cell.values.get("invertibility_error_max_float64", {})
    tightened = cell.values.get("invertibility_error_max_tightened", {})
    logdets, divergences = cell.finished("logdet_error_max"), cell.finished("divergence_error_max")
    # Written so that what is not a number fails.
    small = all(error < LARGEST_FLOAT32_ERROR for error in [*errors.values(), *logdets])
    small &= all(error < LARGEST_FLOAT64_ERROR for error in divergences)
    if not small or not all(tightened[seed] < errors[seed] for seed in errors.keys() & tightened.keys()):
        return "fails"
    if not errors or not errors.keys() <= tightened.keys():
        return "–"
    return TO_TOLERANCE if logdets or divergences else "round trip passes"


def density_verdict(cell: CellResult) -> str:
    """``passes`` or ``fails`` by the worst seed, and a dash where nothing was measured."""
    mass, outside = (cell.by_seed(metric) for metric in ("density_mass", "outside_share"))
    misses = [abs(mass[seed] + outside[seed] - 1) for seed in mass.keys() & outside.keys()]
    both_ways = LARGEST_SOLVED_DENSITY_ERROR if cell.continuous else LARGEST_DENSITY_ERROR
    limits = {"log_prob_error_max": LARGEST_DENSITY_ERROR, "sample_log_prob_error_max": both_ways}
    # Written so that what is not a number fails.
    small = [miss <= LARGEST_MASS_ERROR for miss in misses]
    small += [error < limit for metric, limit in limits.items() for error in cell.finished(metric)]
    if not small:
        return "–"
    # A sample that comes back to no finite latent has no density by the way back.
    small += [math.isfinite(error) for error in cell.finished("latent_invertibility_error_max_float64")]
    return "passes" if all(small) else "fails"


def note(cell: CellResult) -> str:
    """What a reader must know of a cell before comparing it."""
    seeds = len(cell.training["seeds"])
    uncertified = [f"in {precision}" for precision in ("float32", "float64") if verdict(cell, precision) == "fails"]
    uncertified += ["of its density"] * (density_verdict(cell) == "fails")
    words = {
        "baseline": cell.baseline,
        f"{len(cell.diverged)} of {seeds} diverged": cell.diverged,
        f"{len(cell.failed)} of {seeds} failed": cell.failed,
        "measured in part": cell.not_measured,
        f"fails certification {' and '.join(uncertified)}": uncertified,
    }
    return ", ".join(word for word, holds in words.items() if holds)
