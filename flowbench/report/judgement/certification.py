"""Whether cells are certified: their directions agree, their log-determinants are right, their densities are one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

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
# Of the samples of a flow, those without a finite latent in float32, which cannot be scored: one in a thousand. Where a
# logit saturates, float32 loses fewer than that from any flow.
LARGEST_LOST_SHARE = 1e-3
# Limits that may be reached; the others may not.
REACHED = ("mass_error", "lost_share_samples")

Outcome = Literal["passes", "fails", "round trip passes", "to the solver's tolerance", "–"]
TO_TOLERANCE: Outcome = "to the solver's tolerance"


@dataclass(frozen=True)
class Reason:
    """Why a certificate is refused: the worst seed's value of a metric, and the limit that it does not keep."""

    certificate: str
    metric: str
    value: float
    limit: float


@dataclass(frozen=True)
class Certificate:
    """Of one cell by its worst seed; a dash where nothing was measured.

    Attributes:
        float32, float64: of the round trips of test data in each precision, in float64 of log-determinants too.
        density: of log p(x).
        samples: of the round trips of samples in float32: nearly all must have a finite latent.
        reasons: why those that fail do, one for each metric that is over its limit.
    """

    float32: Outcome = "–"
    float64: Outcome = "–"
    density: Outcome = "–"
    samples: Outcome = "–"
    reasons: tuple[Reason, ...] = ()

    @property
    def failed(self) -> list[str]:
        """The names of those that fail."""
        return [name for name, verdict in vars(self).items() if verdict == "fails"]


def certificates(frame: pd.DataFrame) -> dict[str, Certificate]:
    """The certificate of every cell in a frame."""
    finished = frame[~frame["lost"]]
    # Errors are compared with what they must stay below: nothing is worse than what is no number.
    errors = finished.assign(value=finished["value"].fillna(np.inf))
    found = dict.fromkeys(frame["cell"].unique(), Certificate())
    for cell, rows in errors.groupby("cell", sort=False):
        table = rows.pivot(index="seed", columns="metric", values="value")
        found[str(cell)] = _certificate({str(metric): table[metric].dropna() for metric in table.columns})
    return found


def _certificate(errors: dict[str, pd.Series]) -> Certificate:
    """From the errors of one cell by metric and seed; metrics that no seed has are absent."""
    nothing = pd.Series(dtype=float)

    def of(metric: str) -> pd.Series:
        return errors.get(metric, nothing)

    solved = "solver_tolerance" in errors
    float32 = _outcome(LARGEST_FLOAT32_ERROR, of("invertibility_error_max"))
    if solved:
        float64 = _outcome_with_solver(
            of("invertibility_error_max_float64"),
            of("invertibility_error_max_tightened"),
            of("logdet_error_max"),
            of("divergence_error_max"),
        )
    else:
        float64 = _outcome(LARGEST_FLOAT64_ERROR, of("invertibility_error_max_float64"), of("logdet_error_max"))
    limits = {
        "mass_error": LARGEST_MASS_ERROR,
        "log_prob_error_max": LARGEST_DENSITY_ERROR,
        "sample_log_prob_error_max": LARGEST_SOLVED_DENSITY_ERROR if solved else LARGEST_DENSITY_ERROR,
    }
    density: Outcome = "–"
    if any(metric in errors for metric in limits):
        # A sample that comes back to no finite latent has no density by the way back.
        limits["latent_invertibility_error_max_float64"] = math.inf
        density = "fails" if _over(errors, limits) else "passes"
    returning = {"lost_share_samples": LARGEST_LOST_SHARE}
    if "lost_share_samples" not in errors:
        returning = {"latent_invertibility_error_max": math.inf}
    samples: Outcome = "–"
    if any(metric in errors for metric in returning):
        samples = "fails" if _over(errors, returning) else "passes"
    trips = {"invertibility_error_max": LARGEST_FLOAT32_ERROR}
    precise = {
        "invertibility_error_max_float64": LARGEST_FLOAT32_ERROR if solved else LARGEST_FLOAT64_ERROR,
        "logdet_error_max": LARGEST_FLOAT32_ERROR if solved else LARGEST_FLOAT64_ERROR,
    }
    if solved:
        precise["divergence_error_max"] = LARGEST_FLOAT64_ERROR
        # Of the seed that comes least nearer.
        loose, tightened = of("invertibility_error_max_float64"), of("invertibility_error_max_tightened")
        both = loose.index.intersection(tightened.index)
        if len(both):
            seed = (tightened[both] / loose[both]).fillna(math.inf).idxmax()
            errors = errors | {"invertibility_error_max_tightened": tightened[[seed]]}
            precise["invertibility_error_max_tightened"] = float(loose[seed])
    words = {"float32": float32, "float64": float64, "density": density, "samples": samples}
    asked = {"float32": trips, "float64": precise, "density": limits, "samples": returning}
    reasons = [
        Reason(name, metric, value, asked[name][metric])
        for name, word in words.items()
        if word == "fails"
        for metric, value in _over(errors, asked[name]).items()
    ]
    return Certificate(float32, float64, density, samples, tuple(reasons))


def _over(errors: Mapping[str, pd.Series], limits: Mapping[str, float]) -> dict[str, float]:
    """The metrics whose worst value does not keep its limit, with that value."""
    worst = {metric: float(errors[metric].max()) for metric in limits if metric in errors and len(errors[metric])}
    kept = {metric for metric, value in worst.items() if metric in REACHED and value == limits[metric]}
    return {metric: value for metric, value in worst.items() if not value < limits[metric] and metric not in kept}


def _outcome(limit: float, round_trips: pd.Series, *others: pd.Series) -> Outcome:
    """Whether errors stay below a limit, the first of them those of round trips."""
    if any((errors >= limit).any() for errors in (round_trips, *others)):
        return "fails"
    if round_trips.empty:
        return "–"
    return "round trip passes" if any(errors.empty for errors in others) else "passes"


def _outcome_with_solver(
    errors: pd.Series, tightened: pd.Series, logdets: pd.Series, divergences: pd.Series
) -> Outcome:
    """Whether the errors of a continuous flow are its solver's: only the solver's errors shrink with the tolerance."""
    small = (errors < LARGEST_FLOAT32_ERROR).all() and (logdets < LARGEST_FLOAT32_ERROR).all()
    small = small and (divergences < LARGEST_FLOAT64_ERROR).all()
    both = errors.index.intersection(tightened.index)
    if not small or not (tightened[both] < errors[both]).all():
        return "fails"
    if errors.empty or len(both) < len(errors):
        return "–"
    return "round trip passes" if logdets.empty and divergences.empty else TO_TOLERANCE
