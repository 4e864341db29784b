"""What must be said of a cell before its numbers are compared: whether it is certified, and what was lost."""

from __future__ import annotations

from collections.abc import Sequence

from flowbench.report import numbers
from flowbench.report.cells import CellResult

# What `flowbench check` asks of random models in float64, asked of trained ones on test data; and what a benchmarked
# flow must reach in the precision that it is used in.
LARGEST_FLOAT64_ERROR = 1e-8
LARGEST_FLOAT32_ERROR = 1e-3
TO_TOLERANCE = "to the solver's tolerance"


def certification(cells: Sequence[CellResult]) -> str:
    """What a verdict says."""
    strict, loose = numbers.power(LARGEST_FLOAT64_ERROR), numbers.power(LARGEST_FLOAT32_ERROR)
    text = (
        f"A flow passes in float64 where test data comes back to within {strict} and log-determinants err by less "
        f"than {strict} nats, and in float32 where test data comes back to within {loose}. Latents and noise far off "
        "the data may come back worse in float32: that is shown, and is a property of the model rather than a failure."
    )
    if any(cell.continuous for cell in cells):
        text += (
            f" A continuous flow is as accurate as its solver is asked to be, and no more. In float64 it passes "
            f"“{TO_TOLERANCE}”: test data comes back to within {loose}, and nearer still where the tolerance is a "
            f"tenth; log-determinants, where they are exact but for the solver, err by less than {loose} nats."
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
    logdets = cell.finished("logdet_error_max") if cell.likelihood == "exact" else []
    # Written so that what is not a number fails.
    small = all(error < LARGEST_FLOAT32_ERROR for error in [*errors.values(), *logdets])
    if not small or not all(tightened[seed] < errors[seed] for seed in errors.keys() & tightened.keys()):
        return "fails"
    return TO_TOLERANCE if errors and errors.keys() <= tightened.keys() else "–"


def note(cell: CellResult) -> str:
    """What a reader must know of a cell before comparing it."""
    seeds = len(cell.training["seeds"])
    uncertified = [precision for precision in ("float32", "float64") if verdict(cell, precision) == "fails"]
    words = {
        "baseline": cell.baseline,
        f"{len(cell.diverged)} of {seeds} diverged": cell.diverged,
        f"{len(cell.failed)} of {seeds} failed": cell.failed,
        "measured in part": cell.not_measured,
        f"fails certification in {' and '.join(uncertified)}": uncertified,
    }
    return ", ".join(word for word, holds in words.items() if holds)
