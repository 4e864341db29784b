"""Increasing maps of single numbers, whose parameters a network gives: what couplings and autoregressive maps apply."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad, softmax, softplus

from flowbench.core import soft_clamp
from flowbench.numerics import splines
from flowbench.numerics.roots import invert


class Univariate(Protocol):
    """An increasing map z = h(x) of the real line onto itself.

    Attributes:
        parameters: how many numbers describe one such map. At zeros it is the identity, or near it.
    """

    parameters: int

    def encode(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """z and log dz/dx, each ``(…)``, for x ``(…)`` and ``(…, parameters)``."""

    def decode(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """x and log dx/dz, each ``(…)``, for z ``(…)`` and ``(…, parameters)``."""


class Affine:
    """z = (x - μ) exp(-s) (Papamakarios et al. 2017, 1705.07057, equation 4).

    Args:
        scale_limit: bound of ``|s|``, reached softly.
    """

    parameters = 2

    def __init__(self, scale_limit: float = 3.0):
        self.scale_limit = scale_limit

    def __repr__(self) -> str:
        return f"Affine(scale_limit={self.scale_limit})"

    def encode(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(parameters)
        return (x - shift) * torch.exp(-log_scale), -log_scale

    def decode(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(parameters)
        return z * torch.exp(log_scale) + shift, log_scale

    def _scale_and_shift(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = parameters.unbind(-1)
        return soft_clamp(log_scale, self.scale_limit), shift


class RationalQuadratic:
    """A rational-quadratic spline within ``[-bound, bound]`` and the identity outside (Durkan et al. 2019, 1906.04032).

    Args:
        bins: K, how many pieces the spline has.
        bound: B. Slopes are one at both ends, so that the map is smooth there.
    """

    # The least width and height of a piece, as a share of all, and the least slope at a knot; as in the paper's code.
    _LEAST_SIZE, _LEAST_SLOPE = 1e-3, 1e-3

    def __init__(self, bins: int = 8, bound: float = 4.0):
        if not 1 <= bins < 1 / self._LEAST_SIZE:
            raise ValueError(f"a spline has from 1 to fewer than {1 / self._LEAST_SIZE:.0f} bins, got {bins}")
        if not 0 < bound < math.inf:
            raise ValueError(f"a spline bends a finite interval, got the bound {bound}")
        self.bins, self.bound = bins, bound
        self.parameters = 3 * bins - 1

    def __repr__(self) -> str:
        return f"RationalQuadratic(bins={self.bins}, bound={self.bound})"

    def encode(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() < self.bound
        z, log_slope = self._spline(parameters).forward(torch.where(inside, x, 0))
        return torch.where(inside, z, x), torch.where(inside, log_slope, 0)

    def decode(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        inside = z.abs() < self.bound
        x, log_slope = self._spline(parameters).inverse(torch.where(inside, z, 0))
        return torch.where(inside, x, z), torch.where(inside, log_slope, 0)

    def _spline(self, parameters: Tensor) -> splines.Spline:
        widths, heights, slopes = parameters.split((self.bins, self.bins, self.bins - 1), -1)
        # Zeros give the slope one, and with it the identity.
        neutral = math.log(math.expm1(1 - self._LEAST_SLOPE))
        slopes = pad(softplus(slopes + neutral) + self._LEAST_SLOPE, (1, 1), value=1.0)
        return splines.Spline(self._knots(widths), self._knots(heights), slopes)

    def _knots(self, sizes: Tensor) -> Tensor:
        """``(…, bins)`` unnormalised sizes to ``(…, bins + 1)`` knots from -bound to bound."""
        shares = self._LEAST_SIZE + (1 - self.bins * self._LEAST_SIZE) * softmax(sizes, -1)
        inner = self.bound * (2 * shares[..., :-1].cumsum(-1) - 1)
        return pad(pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)


class MixtureOfGaussians:
    """z = logit F(x), F the distribution function of a mixture of Gaussians (Papamakarios et al. 2017, section 4.3).

    If z is standard logistic, x follows the mixture. The logit keeps its digits far out in both tails, where F itself
    rounds to zero or one. Decoding bisects F to the precision of its floating point numbers.

    Args:
        components: of the mixture. They start apart, since equal ones would stay equal.
        scale_limit: bound of the absolute log standard deviations, reached softly.
    """

    def __init__(self, components: int = 10, scale_limit: float = 7.0):
        self.components, self.scale_limit = components, scale_limit
        self.parameters = 3 * components

    def __repr__(self) -> str:
        return f"MixtureOfGaussians(components={self.components}, scale_limit={self.scale_limit})"

    def encode(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_weights, means, log_scales = self._mixture(parameters)
        t = (x[..., None] - means) * torch.exp(-log_scales)
        (low, low_tail), (high, high_tail) = _log_normal(t), _log_normal(-t)
        below, above = torch.logsumexp(log_weights + low, -1), torch.logsumexp(log_weights + high, -1)
        # log p - log F - log(1 - F) is the difference of two numbers near -t² / 2, for the smaller of F and 1 - F. The
        # largest of those exponents is left out of both.
        smaller = (below < above)[..., None]
        exponents = log_weights - 0.5 * t.square()
        largest = exponents.detach().amax(-1, keepdim=True)
        exponents = exponents - largest
        log_density = torch.logsumexp(exponents - log_scales, -1) - 0.5 * math.log(2 * math.pi)
        far = torch.where(smaller, t, -t) < 0
        whole, tail = torch.where(smaller, low, high), torch.where(smaller, low_tail, high_tail)
        log_smaller = torch.logsumexp(torch.where(far, exponents + tail, log_weights + whole - largest), -1)
        return below - above, log_density - log_smaller - torch.where(smaller[..., 0], above, below)

    def decode(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        mixture = self._mixture(parameters)
        x = invert(_logit, z, *_bracket(z, *mixture), *mixture)
        return x, -self.encode(x, parameters)[1]

    def _mixture(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and log standard deviations, each ``(…, components)``."""
        logits, means, log_scales = parameters.unflatten(-1, (3, self.components)).unbind(-2)
        apart = torch.linspace(-1, 1, self.components, dtype=means.dtype, device=means.device)
        return torch.log_softmax(logits, -1), means + apart, soft_clamp(log_scales, self.scale_limit)


def _logit(x: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """logit F(x), ``(…)``, of the mixtures ``(…, components)``."""
    t = (x[..., None] - means) * torch.exp(-log_scales)
    below, above = (torch.logsumexp(log_weights + _log_normal(side)[0], -1) for side in (t, -t))
    return below - above


@torch.no_grad()
def _bracket(z: Tensor, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers below and above the x with logit F(x) = z: the least and the largest of the components' own."""
    # |logit Φ(t)| ≥ t² / 2, so no component's solution is further than this from its mean.
    reach = torch.exp(log_scales) * (2 * z.abs()).sqrt()[..., None]
    low = torch.where(z[..., None] < 0, means - reach, means).amin(-1)
    high = torch.where(z[..., None] < 0, means, means + reach).amax(-1)
    return low, high


def _log_normal(t: Tensor) -> tuple[Tensor, Tensor]:
    """log Φ(t), and below zero log Φ(t) + t² / 2, whose digits log Φ does not have: far out it is like -log|t|.

    torch has the former, but its derivative loses digits far out.
    """
    tail = torch.log(torch.special.erfcx(t.clamp(max=0) * -math.sqrt(0.5))) - math.log(2)
    near = torch.log1p(-0.5 * torch.special.erfc(t.clamp(min=0) * math.sqrt(0.5)))
    return torch.where(t < 0, tail - 0.5 * t.square(), near), tail
