"""Splines at their knots and in their tails, and mixtures against their distribution functions."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logit
from scipy.stats import norm
from torch import Tensor

from flowbench.layers._univariate import Affine, MixtureOfGaussians, RationalQuadratic, Univariate
from flowbench.runtime.seeding import seeded

ALL = pytest.mark.parametrize("univariate", [Affine(), RationalQuadratic(), RationalQuadratic(3, 2.0)], ids=repr)
WITH_MIXTURES = pytest.mark.parametrize(
    "univariate", [Affine(), RationalQuadratic(), RationalQuadratic(3, 2.0), MixtureOfGaussians(4)], ids=repr
)


def draw(univariate: Univariate, n: int = 500, scale: float = 1.0, width: float = 2.0) -> tuple[Tensor, Tensor]:
    """Random points, ``(n,)``, and parameters, ``(n, parameters)``."""
    with seeded(0):
        return width * torch.randn(n).double(), scale * torch.randn(n, univariate.parameters).double()


@WITH_MIXTURES
def test_both_directions_agree_with_each_other_and_with_autograd(univariate):
    x, parameters = draw(univariate)
    x.requires_grad_()
    z, log_slope = univariate.encode(x, parameters)
    again, log_slope_back = univariate.decode(z.detach(), parameters)
    torch.testing.assert_close(again, x, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(log_slope_back, -log_slope, atol=1e-9, rtol=1e-9)
    (slope,) = torch.autograd.grad(z.sum(), x)
    torch.testing.assert_close(slope.log(), log_slope, atol=1e-10, rtol=1e-10)


@WITH_MIXTURES
def test_decode_has_the_gradients_of_an_inverse(univariate):
    x, parameters = draw(univariate, n=6)
    with torch.no_grad():
        z, _ = univariate.encode(x, parameters)
    torch.autograd.gradcheck(univariate.decode, (z.requires_grad_(), parameters.requires_grad_()))


@WITH_MIXTURES
def test_encode_increases(univariate):
    _, parameters = draw(univariate, n=50, scale=2.0)
    x = torch.linspace(-9, 9, 2001, dtype=torch.float64).expand(50, -1)
    z, _ = univariate.encode(x, parameters[:, None, :].expand(-1, 2001, -1))
    assert (z.diff(dim=1) >= 0).all()


@ALL
def test_single_precision_loses_few_digits(univariate):
    x, parameters = draw(univariate, n=5000)
    z, log_slope = univariate.encode(x.float(), parameters.float())
    again, _ = univariate.decode(z, parameters.float())
    exact, exact_log_slope = univariate.encode(x, parameters)
    torch.testing.assert_close(z.double(), exact, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_slope.double(), exact_log_slope, atol=1e-3, rtol=1e-3)
    # Where a map is flat, its inverse magnifies the rounding of z.
    steepest = (1 - exact_log_slope.clamp(max=0)).exp()
    assert ((again - x).abs() < 1e-5 * steepest).all()


@pytest.mark.parametrize("bins", [1, 2, 8, 32])
def test_a_spline_is_the_identity_at_zeros_and_outside_of_its_box(bins):
    spline = RationalQuadratic(bins, bound=2.0)
    x = torch.tensor([-1e30, -50.0, -2.0, -1.3, 0.0, 0.7, 2.0, 3.0, 1e30], dtype=torch.float64)
    z, log_slope = spline.encode(x, torch.zeros(9, spline.parameters, dtype=torch.float64))
    torch.testing.assert_close(z, x, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(log_slope, torch.zeros_like(x), atol=1e-12, rtol=0)
    _, parameters = draw(spline, n=9, scale=3.0)
    outside = x.abs() >= 2
    for direction in (spline.encode, spline.decode):
        z, log_slope = direction(x, parameters)
        assert torch.equal(z[outside], x[outside])
        assert not log_slope[outside].any()


def test_a_spline_goes_through_its_knots_with_its_slopes():
    spline = RationalQuadratic(bins=5, bound=2.0)
    _, parameters = draw(spline, n=30)
    knots = spline._spline(parameters)
    for i in range(6):
        for side in (-1e-9, 1e-9):  # both pieces that meet there
            if abs(knots.x[0, i] + side) >= 2:
                continue
            z, log_slope = spline.encode(knots.x[:, i] + side, parameters)
            torch.testing.assert_close(z, knots.y[:, i], atol=1e-7, rtol=0)
            torch.testing.assert_close(log_slope.exp(), knots.slopes[:, i], atol=1e-5, rtol=1e-5)
    assert (knots.x.diff(dim=-1) >= 4e-3 - 1e-12).all()
    assert (knots.y.diff(dim=-1) >= 4e-3 - 1e-12).all()
    assert (knots.slopes[:, [0, -1]] == 1).all()


def test_a_spline_of_hand_made_knots():
    """From (0, 0) to (1, 1), slopes 1/2 and 1: (s t² + d₀ t (1 - t)) / (s + (d₀ + d₁ - 2 s) t (1 - t)) with s = 1."""
    spline = RationalQuadratic(bins=2, bound=1.0)
    raw = math.log(math.expm1(0.5 - 1e-3)) - math.log(math.expm1(1 - 1e-3))
    parameters = torch.tensor([0.0, 0.0, 0.0, 0.0, raw], dtype=torch.float64)
    z, _ = spline.encode(torch.tensor(0.25, dtype=torch.float64), parameters)
    t, left, right = 0.25, 0.5, 1.0
    assert float(z) == pytest.approx((t**2 + left * t * (1 - t)) / (1 + (left + right - 2) * t * (1 - t)), abs=1e-12)


@pytest.mark.parametrize("bins", [-1, 0, 1000])
def test_a_number_of_bins_that_makes_no_spline_is_refused(bins):
    with pytest.raises(ValueError, match=f"fewer than 1000 bins, got {bins}"):
        RationalQuadratic(bins=bins)


@pytest.mark.parametrize("bound", [0.0, -1.0, math.inf, math.nan])
def test_a_bound_that_makes_no_spline_is_refused(bound):
    with pytest.raises(ValueError, match=f"a finite interval, got the bound {bound}"):
        RationalQuadratic(bound=bound)


def test_an_inverse_in_single_precision_stays_in_its_box():
    """Parameters so wild that rounding would leave the piece of a spline."""
    spline = RationalQuadratic(8, 3.0)
    x, parameters = (values.float() for values in draw(spline, n=50_000, scale=10.0))
    again, log_slope = spline.decode(spline.encode(x, parameters)[0], parameters)
    assert torch.isfinite(log_slope).all()
    inside = x.abs() < 3
    assert (again[inside].abs() <= 3 + 1e-5).all()


def test_slopes_so_steep_that_their_squares_overflow_have_an_inverse():
    spline = RationalQuadratic(4, 2.0)
    _, parameters = draw(spline, n=50)
    parameters = parameters.float()
    parameters[:, 8:] = 1e30
    parameters.requires_grad_()
    z = torch.linspace(-1.9, 1.9, 50)
    x, log_slope = spline.decode(z, parameters)
    assert torch.isfinite(x).all()
    assert torch.isfinite(log_slope).all()
    (x.sum() + log_slope.sum()).backward()
    assert torch.isfinite(parameters.grad).all()


def mixture_of(univariate: MixtureOfGaussians, parameters: Tensor) -> list[np.ndarray]:
    """Weights, means and standard deviations."""
    log_weights, means, log_scales = univariate._mixture(parameters)
    return [log_weights.exp().numpy(), means.numpy(), log_scales.exp().numpy()]


def test_a_mixture_is_its_distribution_function():
    univariate = MixtureOfGaussians(4)
    x, parameters = draw(univariate, n=200)
    weights, means, stds = mixture_of(univariate, parameters)
    z, log_slope = univariate.encode(x, parameters)
    points = x.numpy()[:, None]
    distribution = (weights * norm.cdf(points, means, stds)).sum(1)
    sure = (distribution > 1e-10) & (distribution < 1 - 1e-6)  # where the logit of a rounded F has digits
    np.testing.assert_allclose(z[sure], logit(distribution[sure]), rtol=1e-6, atol=1e-9)
    density = (weights * norm.pdf(points, means, stds)).sum(1)
    standard_logistic = torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z)
    np.testing.assert_allclose(log_slope + standard_logistic, np.log(density), atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mixture_has_digits_far_out_in_its_tails(dtype):
    univariate = MixtureOfGaussians(3)
    parameters = draw(univariate, n=1)[1].to(dtype).expand(6, -1)
    x = torch.tensor([-1e4, -100.0, -30.0, 30.0, 100.0, 1e4], dtype=dtype)
    z, log_slope = univariate.encode(x, parameters)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_slope).all()
    again, _ = univariate.decode(z, parameters)
    torch.testing.assert_close(again, x, rtol=1e3 * torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("size", [3.0, 30.0, 100.0, 1e4])
def test_a_mixture_in_single_precision_has_the_slopes_of_its_tails(size):
    """log F and log p are both near -t² / 2, of which float32 has no digit behind the point at t = 10⁴."""
    univariate = MixtureOfGaussians(4)
    parameters = draw(univariate, n=40)[1].float()
    x = torch.tensor([-size, size]).repeat(20)

    def found(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        at = x.to(dtype).requires_grad_()
        z, log_slope = univariate.encode(at, parameters.to(dtype))
        return log_slope.detach().double(), torch.autograd.grad(z.sum(), at)[0].double()

    (log_slope, slope), (exact, exact_slope) = found(torch.float32), found(torch.float64)
    torch.testing.assert_close(log_slope, exact, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(slope, exact_slope, atol=0, rtol=1e-4)
    torch.testing.assert_close(exact.exp(), exact_slope, atol=0, rtol=1e-9)


def test_a_mixture_samples_what_it_says():
    univariate = MixtureOfGaussians(3)
    parameters = draw(univariate, n=1)[1].expand(4000, -1)
    probabilities = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    x, _ = univariate.decode(torch.logit(probabilities), parameters)
    weights, means, stds = (part[0] for part in mixture_of(univariate, parameters))
    got = (weights * norm.cdf(x.numpy()[:, None], means, stds)).sum(1)
    np.testing.assert_allclose(got, probabilities, atol=1e-9)
