"""Comparisons of many means at once: variances that borrow from each other, and a stepwise test of who may be best.

Arrays have any leading axes, so that many suites can be judged in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Of every interval and of every test.
LEVEL = 0.05

Array = NDArray[np.float64]


class Standing(NamedTuple):
    """How k means stand to the lowest of some of them, the candidates; each ``(..., k)``.

    Attributes:
        low, high: the simultaneous interval of how much higher a mean is than the lowest of the other candidates. The
            ``high`` of a candidate that is told apart from all others is minus infinity.
        p: that it is no higher, adjusted for all comparisons; of a mean that is no candidate, that it is not lower.
        apart: whether that is refuted. Then the interval has no value of the other sign.
    """

    low: Array
    high: Array
    p: Array
    apart: NDArray[np.bool_]


def compare(
    values: Array, *, ratios: bool, lower: bool = True, shared: Array | float = 0.0, candidates: ArrayLike = True
) -> Standing:
    """How the means of k flows over their seeds stand to the best of the candidates; see `standing`.

    Args:
        values: ``(..., seeds, k)``; NaN where a flow lacks a seed. Each flow has two seeds at least.
        ratios: whether to compare the means by their ratios, and so the seeds by their logarithms; all are positive.
        lower: whether lower values are better. If not, ``low`` and ``high`` say how much lower a mean is.
        shared: the variance that the difference of two means has beside that of the seeds, ``(..., k, k)``.
    """
    sign = 1.0 if lower else -1.0
    seeds = np.isfinite(values).sum(-2)
    means = np.nanmean(values, -2)
    if not ratios:
        variances, degrees = moderated(np.nanvar(values, -2, ddof=1), seeds - 1.0)
        return standing(sign * means, variances / seeds, degrees, shared, candidates)
    variances, degrees = moderated(np.nanvar(np.log(values), -2, ddof=1), seeds - 1.0)
    # A difference of logarithms is one of values over their logarithmic mean.
    shared = shared / _logarithmic_means(means) ** 2

    def unit(x: Array) -> Array:
        return sign * np.exp(np.minimum(sign * x, 700.0))

    return standing(sign * np.log(means), variances / seeds, degrees, shared, candidates, unit)


def _logarithmic_means(values: Array) -> Array:
    """Of each two positive values: their difference over that of their logarithms, ``(..., k, k)``."""
    a, b = values[..., :, None], values[..., None, :]
    alike = np.isclose(a, b, rtol=1e-9, atol=0.0)
    return np.where(alike, np.sqrt(a * b), (a - b) / np.where(alike, 1.0, np.log(a) - np.log(b)))


def moderated(variances: Array, degrees: Array) -> tuple[Array, Array]:
    """Variances of one quantity for k flows, each drawn towards what is usual among them (Smyth 2004, section 6).

    How much is borrowed depends on how alike the variances are. Two things are more careful than there, since k is
    small: their spread is taken at its upper 95 % bound, and what is usual is their geometric mean.

    Args:
        variances: ``(..., k)``, each estimated with the given ``degrees`` of freedom. Others learn nothing from a zero.

    Returns:
        The variances and their degrees of freedom, ``(..., k)``.
    """
    from scipy.special import digamma, polygamma

    known = (variances > 0) & (degrees > 0)
    count = known.sum(-1, keepdims=True)
    half = np.where(known, degrees, 2.0) / 2

    def mean(values: Array, less: int = 0) -> Array:
        return np.asarray(np.where(known, values, 0.0).sum(-1, keepdims=True) / np.maximum(count - less, 1))

    logs = np.log(np.where(known, variances, 1.0)) - digamma(half) + np.log(half)
    usual = mean(logs)
    spread = mean((logs - usual) ** 2, less=1)
    spread = spread * (1 + 1.645 * np.sqrt(2 / np.maximum(count - 1, 1))) - mean(polygamma(1, half))
    # Nobody can borrow more degrees than all flows have.
    most = np.where(known, degrees, 0.0).sum(-1, keepdims=True)
    borrowed = np.where(count > 1, np.minimum(2 * _inverse_trigamma(spread), most), 0.0)
    total = borrowed + degrees
    return (borrowed * np.exp(usual) + degrees * variances) / np.maximum(total, 1e-9), np.minimum(total, most)


def _inverse_trigamma(y: Array) -> Array:
    """The x whose trigamma is y, by Newton's method (Smyth 2004, appendix); infinite where y is not positive."""
    from scipy.special import polygamma

    positive = np.maximum(y, 1e-6)
    x = 0.5 + 1 / positive
    for _ in range(10):
        trigamma = polygamma(1, x)
        x = x + trigamma * (1 - trigamma / positive) / polygamma(2, x)
    return np.where(y > 1e-6, x, np.inf)


def standing(
    means: Array,
    variances: Array,
    degrees: Array,
    shared: Array | float = 0.0,
    candidates: ArrayLike = True,
    unit: Callable[[Array], Array] = np.asarray,
) -> Standing:
    """Which means may be the lowest of the candidates, and how much higher the others are.

    As in the model confidence set of Hansen, Lunde and Nason (2011), the candidate that is most clearly higher than
    another is set aside, and the rest are tested again. Each two are compared by Welch's t at Šidák's level for all
    pairs of those that are left (Tamhane 1979, T2). So candidates that share the lowest mean are all kept together in
    at least 95 % of cases, whatever the others are. The intervals hold for all comparisons at once; where the steps
    tell more than these, they end at 0 (Stefansson, Kim and Hsu 1988).

    Args:
        means: ``(..., k)``.
        variances: of the means, with the given ``degrees`` of freedom.
        shared: the variance that each difference has beside theirs, and that is known well, ``(..., k, k)``.
        candidates: which of them can be the lowest. Each of the others is compared with these as if it were one more.
        unit: an increasing function from the scale of the means to that of the intervals. At the end of an interval,
            each of two means has moved by its share of the variance.
    """
    from scipy.special import stdtr

    can = np.broadcast_to(np.asarray(candidates), means.shape)
    itself = np.eye(means.shape[-1], dtype=bool)
    error = np.sqrt(variances[..., :, None] + variances[..., None, :] + shared)
    parts = (variances**2 / np.maximum(degrees, 1e-9))[..., None]
    welch = np.clip(error**4 / np.maximum(parts + parts.swapaxes(-1, -2), 1e-300), 1.0, 1e6)
    higher = means[..., :, None] - means[..., None, :]
    # Means without any spread are told apart where they differ.
    distance = np.where(higher == 0, 0.0, higher / np.maximum(error, 1e-300))
    single = np.where(higher > 0, 2 * stdtr(welch, -np.abs(distance)), 1.0)

    left, p, running = can, np.ones(means.shape), np.zeros((*means.shape[:-1], 1))
    for _ in range(means.shape[-1] - 1):
        of_pairs = np.where(left[..., :, None] & left[..., None, :] & ~itself, single, np.inf).min(-1)
        running = np.maximum(running, _sidak(of_pairs.min(-1, keepdims=True), left.sum(-1, keepdims=True)))
        next_ = (np.arange(means.shape[-1]) == of_pairs.argmin(-1)[..., None]) & (left.sum(-1, keepdims=True) > 1)
        p = np.where(next_, running, p)
        left = left & ~next_
    against = can[..., None, :] & ~itself
    compared = can.sum(-1, keepdims=True) + ~can
    above = _sidak(np.where(against, single, np.inf).min(-1), compared)
    below = _sidak(np.where(against, single.swapaxes(-1, -2), -np.inf).max(-1), compared)
    p = np.where(can, p, np.minimum(above, below))
    kept = can & (p >= LEVEL)
    half = error * critical(compared[..., None], welch)
    share = (variances[..., :, None] + shared / 2) / np.maximum(error**2, 1e-300)
    move, others = half * share, (half * share).swapaxes(-1, -2)
    mine, theirs = means[..., :, None], means[..., None, :]
    low = np.where(against, unit(mine - move) - unit(theirs + others), -np.inf).max(-1)
    high = np.where(kept[..., None, :] & ~itself, unit(mine + move) - unit(theirs - others), -np.inf).max(-1)
    apart = p < LEVEL
    return Standing(np.where(can & apart, np.maximum(low, 0.0), low), high, p, apart)


def _sidak(p: Array, means: Array) -> Array:
    """The smallest of the p-values of all pairs of some means, adjusted for that (Šidák 1967)."""
    pairs = np.maximum(means * (means - 1) / 2, 1)
    return np.asarray(-np.expm1(pairs * np.log1p(-np.clip(p, 0.0, 1 - 1e-16))))


def critical(means: Array, degrees: Array) -> Array:
    """How many standard errors apart two of several equal means may lie, at Šidák's level for all pairs of them."""
    from scipy.special import stdtrit

    pairs = np.maximum(means * (means - 1) / 2, 1)
    return np.asarray(-stdtrit(degrees, -np.expm1(np.log1p(-LEVEL) / pairs) / 2))
