"""Comparisons of many means at once: variances that borrow from each other, and the range of what may be equal.

Arrays have any leading axes, so that many suites can be judged in one call.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of every interval and of every test.
LEVEL = 0.05

Array = NDArray[np.float64]


class Pairs(NamedTuple):
    """Of each two of k means, ``(..., k, k)``.

    Attributes:
        error: the standard error of their difference.
        degrees: the degrees of freedom of that error.
        half: half the width of the simultaneous interval of their difference.
    """

    error: Array
    degrees: Array
    half: Array


def moderated(variances: Array, degrees: Array) -> tuple[Array, Array]:
    """Variances of the same quantity for k flows, each drawn towards what is usual among them (Smyth 2004, section 6).

    The true variances are taken as draws from a scaled inverse chi-square distribution, whose scale and degrees of
    freedom are those of the observed ones. Flows that differ much in their variances borrow little from each other.

    Args:
        variances: ``(..., k)``, each estimated with the given ``degrees`` of freedom. A zero says nothing of the others.

    Returns:
        The variances and their degrees of freedom, ``(..., k)``.
    """
    from scipy.special import digamma, polygamma

    known = (variances > 0) & (degrees > 0)
    half = np.where(known, degrees, 2.0) / 2
    logs = np.log(np.where(known, variances, 1.0)) - digamma(half) + np.log(half)
    count = known.sum(-1, keepdims=True)
    mean = np.where(known, logs, 0.0).sum(-1, keepdims=True) / np.maximum(count, 1)
    spread = np.where(known, (logs - mean) ** 2, 0.0).sum(-1, keepdims=True) / np.maximum(count - 1, 1)
    noise = np.where(known, polygamma(1, half), 0.0).sum(-1, keepdims=True) / np.maximum(count, 1)
    # More degrees than all of the flows have together cannot be borrowed.
    most = np.where(known, degrees, 0.0).sum(-1, keepdims=True)
    prior = np.minimum(2 * _inverse_trigamma(spread - noise), most)
    prior = np.where(count > 1, prior, 0.0)
    usual = np.exp(mean + digamma(np.maximum(prior, 1e-3) / 2) - np.log(np.maximum(prior, 1e-3) / 2))
    total = np.minimum(prior + degrees, np.maximum(most, degrees))
    return (prior * usual + degrees * variances) / np.maximum(prior + degrees, 1.0), total


def _inverse_trigamma(y: Array) -> Array:
    """The x with trigamma(x) = y by Newton's method (Smyth 2004, appendix); infinite where y is not positive."""
    from scipy.special import polygamma

    positive = np.maximum(y, 1e-8)
    x = 0.5 + 1 / positive
    for _ in range(12):
        trigamma = polygamma(1, x)
        x = x + trigamma * (1 - trigamma / positive) / polygamma(2, x)
    return np.where(y > 1e-8, x, np.inf)


def pairs(variances: Array, degrees: Array, shared: Array | float = 0.0) -> Pairs:
    """What each two means need to differ by for being told apart (Games & Howell 1976).

    The chance that any of means that are equal are told apart is at most `LEVEL`: the critical value is of their
    range, since the best of them is chosen by the same values.

    Args:
        variances: of the means, ``(..., k)``, with the given ``degrees`` of freedom.
        shared: a variance that the difference of two means has beside theirs, and that is known well.
    """
    of_two = variances[..., :, None] + variances[..., None, :]
    parts = variances**2 / np.maximum(degrees, 1e-9)
    error2 = of_two + shared
    # Welch's degrees of freedom; what is shared has so many that it adds none to the denominator.
    found = error2**2 / np.maximum(parts[..., :, None] + parts[..., None, :], 1e-300)
    found = np.clip(found, 1.0, 1e6)
    error = np.sqrt(error2)
    return Pairs(error, found, critical(variances.shape[-1], found) * error)


def critical(means: int, degrees: Array) -> Array:
    """How many standard errors apart two of several equal means may lie: q / √2 of the studentised range."""
    inverses, values = _critical(max(means, 2))
    return np.interp(1 / degrees, inverses, values)


@cache
def _critical(means: int) -> tuple[Array, Array]:
    """A table of critical values by the inverse of their degrees of freedom."""
    from statsmodels.stats.libqsturng import qsturng  # within 0.05 % of SciPy's, which takes hundreds of times as long

    inverses = np.linspace(0, 1, 201)
    values = [float(qsturng(1 - LEVEL, means, 1 / inverse if inverse else np.inf)) for inverse in inverses]
    return inverses, np.array(values) / np.sqrt(2)


def p_value(means: int, distance: Array, degrees: Array) -> Array:
    """The chance that some two of several equal means lie at least so many standard errors apart."""
    from scipy.stats import studentized_range

    return np.asarray(studentized_range.sf(np.abs(distance) * np.sqrt(2), max(means, 2), degrees))
