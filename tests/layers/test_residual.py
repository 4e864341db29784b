"""The residual map: estimates against autograd in expectation, the fixed point where it is hardest, and gradients."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.func import functional_call

from flowbench.certificates import randomised
from flowbench.core import SolverError
from flowbench.core.checks import autograd_logdet
from flowbench.layers.residual import Residual
from flowbench.networks.lipschitz import LipschitzError, LipschitzPerceptron
from flowbench.runtime.seeding import seeded

# Standard errors that an unbiased mean is within, in one of a million tests.
SIGMAS = 5


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


def residual(dims: int = 3, coefficient: float = 0.97, **options) -> Residual:
    """A map in float64 whose network is about as steep as it may be."""
    with seeded(1), torch.no_grad():
        layer = randomised(Residual(LipschitzPerceptron(dims, [4], coefficient), **options).double(), scale=0.3)
        layer.network.layers[-1].weight *= 30
    return layer


def linear(matrix: Tensor, **options) -> Residual:
    """x + Wx of a given W, below the bound."""
    layer = Residual(LipschitzPerceptron(len(matrix), []), **options).double()
    with torch.no_grad():
        layer.network.layers[0].weight.copy_(matrix)
    return layer


def points(n: int, dims: int = 3) -> Tensor:
    return torch.randn(n, dims, dtype=torch.float64)


def unbiased(draws: Tensor, expected: Tensor) -> bool:
    """Whether the mean of the draws ``(n, …)`` is as near to what is expected as their own spread allows."""
    error = draws.std(0) / math.sqrt(len(draws))
    assert (error > 0).all(), "an estimate varies"
    return bool(((draws.mean(0) - expected).abs() <= SIGMAS * error).all())


# Probes are drawn for each copy of an example, and the number of terms for each call.
CALLS, COPIES = 400, 50


@pytest.mark.parametrize(("terms", "continuation"), [(1, 0.95), (2, 0.9)])
def test_estimates_are_right_in_expectation(terms, continuation):
    x = points(3)
    expected = autograd_logdet(residual().encode, x).detach()
    assert expected.abs().min() > 0.1

    @torch.no_grad()
    def draws(**options) -> Tensor:
        layer = residual(estimate="always", **options)
        return torch.stack([layer.encode(x.repeat(COPIES, 1))[1].view(COPIES, 3).mean(0) for _ in range(CALLS)])

    assert unbiased(draws(terms=terms, continuation=continuation), expected)
    assert not unbiased(draws(terms=terms, continuation=1e-12), expected), "the first terms alone are not enough"


def test_gradients_of_estimates_are_right_in_expectation():
    layer, exact = residual(estimate="always", terms=2, continuation=0.95), residual()
    x = points(2)

    def gradients(layer: Residual, copies: int) -> list[Tensor]:
        """Of the mean of the copies of each point, with respect to the points and the parameters."""
        given = x.clone().requires_grad_()
        _, logdet = layer.encode(given.repeat(copies, 1))
        return list(torch.autograd.grad(logdet.sum() / copies, [given, *layer.parameters()], materialize_grads=True))

    draws = zip(*(gradients(layer, COPIES) for _ in range(CALLS)), strict=True)
    *expected, of_last_bias = gradients(exact, 1)
    assert not of_last_bias.any()
    for found, value in zip(draws, expected, strict=False):
        assert value.abs().max() > 1e-3
        assert unbiased(torch.stack(found), value)


@torch.no_grad()
def test_the_estimates_of_a_known_matrix():
    """Of W = aI the series is known, and random signs give its traces without an error: only roulette is random."""
    a, dims = 0.6, 3
    layer = linear(a * torch.eye(dims, dtype=torch.float64), estimate="always", terms=2, continuation=0.5)
    draws = torch.stack([layer.encode(points(1, dims))[1] for _ in range(1000)])
    k = torch.arange(1, 40, dtype=torch.float64)
    sums = (-dims * (-a) ** k / k / 0.5 ** (k - 2).clamp_min(0)).cumsum(0)
    assert ((draws - sums[1:]).abs().amin(1) < 1e-9).all()
    assert unbiased(draws[:, 0], torch.tensor(dims * math.log1p(a), dtype=torch.float64))


@pytest.mark.parametrize(
    ("estimate", "random"), [("never", (False, False)), ("training", (True, False)), ("always", (True, True))]
)
@torch.no_grad()
def test_estimates_are_used_when_the_option_says(estimate, random):
    layer, x = residual(estimate=estimate), points(5)
    for training, expected in zip((True, False), random, strict=True):
        layer.train(training)
        assert torch.equal(layer.encode(x)[1], layer.encode(x)[1]) != expected
        z, _ = layer.encode(x)
        assert torch.equal(layer.decode(z)[1], layer.decode(z)[1]) != expected


@torch.no_grad()
def test_jacobians_of_many_points_are_found_in_parts(monkeypatch):
    layer, x = residual(), points(10)
    _, whole = layer.encode(x)
    monkeypatch.setattr("flowbench.layers.residual._JACOBIAN_NUMBERS", 300)
    torch.testing.assert_close(layer.encode(x)[1], whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("coefficient", [0.5, 0.97, 0.99])
@pytest.mark.parametrize("size", [1.0, 100.0, 1e6])
def test_inverse_in_double_precision_and_in_the_tails(coefficient, size):
    layer = residual(coefficient=coefficient)
    x = size * points(300)
    check = layer.check(x)
    # Rounding of z is a rounding of x that is 1 / (1 - coefficient) times as large.
    limit = 1e-14 * size / (1 - coefficient)
    assert check.data_error < limit
    assert check.latent_error < limit
    assert check.logdet_error < 1e-8


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
@torch.no_grad()
def test_inverse_in_single_precision_and_in_the_tails(size):
    layer = residual().float()
    x = size * points(300).float()
    again, _ = layer.decode(layer.encode(x)[0])
    assert again.dtype == torch.float32
    assert float((again - x).abs().max()) < 40 * 1.2e-7 * (1 + 3 * size)


@torch.no_grad()
def test_the_hardest_contraction_is_solved_to_the_last_digits():
    """Of W = ±0.97 each step keeps 97 % of the error, and at -0.97 rounding is magnified 33 times."""
    for slope in (0.97, -0.97):
        layer = linear(slope * torch.eye(2, dtype=torch.float64))
        x = points(100, 2)
        solution = layer.solve(layer.encode(x)[0])
        assert float((solution.x - x).abs().max()) < 1e-12
        assert 500 < int(solution.iterations.max()) < 1500
        easier = layer.solve(layer.encode(x)[0].float())
        assert int(easier.iterations.max()) < 0.7 * int(solution.iterations.max()), "float32 has fewer digits"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_errors_of_a_solution_are_bounds(dtype):
    layer = residual()
    z = (5 * points(200)).to(dtype)
    solution = layer.to(dtype).solve(z)
    precise = layer.solve(z.double()).x  # the same weights, to the digits of float64
    distance = (solution.x - precise).norm(dim=1) / (1 + z.double().norm(dim=1))
    rounding = 1e-13
    assert (distance <= solution.errors + rounding).all()
    assert float(solution.errors.max()) < max(1e-12, torch.finfo(dtype).eps)
    assert int(solution.iterations.min()) > 1


@torch.no_grad()
def test_examples_that_are_solved_leave_the_others_their_solution():
    layer = residual()
    near, far = points(400), 100 * points(3)
    together, alone = layer.solve(torch.cat((near, far))), layer.solve(far)
    torch.testing.assert_close(together.x[-3:], alone.x, rtol=1e-13, atol=1e-13)
    assert (together.iterations[-3:] - alone.iterations).abs().max() <= 1
    assert len(together.iterations.unique()) > 3


@torch.no_grad()
def test_an_example_without_a_solution_is_not_a_number_and_ends_nothing():
    layer, z = residual(), points(4)
    z[1], z[2] = math.nan, math.inf
    solution = layer.solve(z)
    assert solution.x.isfinite().all(1).tolist() == [True, False, False, True]
    assert solution.errors.isfinite().tolist() == [True, False, False, True]
    assert layer.solve(z[:0]).x.shape == (0, 3)


def test_too_few_iterations_are_an_error():
    layer = residual(max_iterations=3)
    message = "needs more than max_iterations = 3; raise it, or lower the coefficient"
    with pytest.raises(SolverError, match=f"the inverse of a residual layer {message}"):
        layer.decode(points(5))
    layer.max_iterations = 3000
    x, _ = layer.decode(points(5))
    layer.max_iterations = 3
    with pytest.raises(SolverError, match=f"the gradient of an inverse {message}"):
        x.sum().backward()


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_a_lost_bound_is_an_error_in_both_directions(direction):
    layer = residual()
    with torch.no_grad():
        layer.network.layers[1].weight[0, 0] = math.nan
    with pytest.raises(LipschitzError):
        getattr(layer, direction)(points(2))


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_gradients_agree_with_finite_differences(direction):
    layer = randomised(Residual(LipschitzPerceptron(2, [4, 4])).double(), scale=3.0)
    names, values = zip(*layer.named_parameters(), strict=True)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return getattr(self.layer, direction)(x)

    def function(x, *parameters):
        changed = {f"layer.{name}": value for name, value in zip(names, parameters, strict=True)}
        return functional_call(Module(), changed, x)

    given = (points(3, 2).requires_grad_(), *(value.detach().clone().requires_grad_() for value in values))
    assert gradcheck(function, given)
