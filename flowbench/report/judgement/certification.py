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
    solved = "solver_tolerance" in errors
    precise = LARGEST_FLOAT32_ERROR if solved else LARGEST_FLOAT64_ERROR
    limits = {
        "float32": {"invertibility_error_max": LARGEST_FLOAT32_ERROR},
        "float64": {
            "invertibility_error_max_float64": precise,
            "logdet_error_max": precise,
            "divergence_error_max": LARGEST_FLOAT64_ERROR,
        },
        "density": {
            "mass_error": LARGEST_MASS_ERROR,
            "log_prob_error_max": LARGEST_DENSITY_ERROR,
            "sample_log_prob_error_max": LARGEST_SOLVED_DENSITY_ERROR if solved else LARGEST_DENSITY_ERROR,
        },
        "samples": {"lost_share_samples": LARGEST_LOST_SHARE},
    }
    if "lost_share_samples" not in errors:
        limits["samples"] = {"latent_invertibility_error_max": math.inf}
    measured = {name: any(metric in errors for metric in of) for name, of in limits.items()}
    if measured["density"]:
        # A sample that comes back to no finite latent has no density by the way back.
        limits["density"]["latent_invertibility_error_max_float64"] = math.inf
    nothing = pd.Series(dtype=float)
    trips = errors.get("invertibility_error_max_float64", nothing)
    tightened = errors.get("invertibility_error_max_tightened", nothing)
    both = trips.index.intersection(tightened.index)
    if solved and len(both):
        # Only the solver's errors shrink with its tolerance. Asked is the seed that comes least nearer.
        seed = (tightened[both] / trips[both]).fillna(math.inf).idxmax()
        errors = errors | {"invertibility_error_max_tightened": tightened[[seed]]}
        limits["float64"]["invertibility_error_max_tightened"] = float(trips[seed])
    reasons = [
        Reason(name, metric, value, of[metric])
        for name, of in limits.items()
        for metric, value in _over(errors, of).items()
    ]
    outcomes: dict[str, Outcome] = {name: "passes" if found else "–" for name, found in measured.items()}
    if trips.empty or (solved and len(both) < len(trips)):
        outcomes["float64"] = "–"
    elif not {"logdet_error_max", "divergence_error_max"} & errors.keys():
        outcomes["float64"] = "round trip passes"
    elif solved:
        outcomes["float64"] = TO_TOLERANCE
    failed: dict[str, Outcome] = {reason.certificate: "fails" for reason in reasons}
    return Certificate(**(outcomes | failed), reasons=tuple(reasons))


def _over(errors: Mapping[str, pd.Series], limits: Mapping[str, float]) -> dict[str, float]:
    """The metrics whose worst value does not keep its limit, with that value."""
    worst = {metric: float(errors[metric].max()) for metric in limits if metric in errors}
    kept = {metric for metric, value in worst.items() if metric in REACHED and value == limits[metric]}
    return {metric: value for metric, value in worst.items() if not value < limits[metric] and metric not in kept}
