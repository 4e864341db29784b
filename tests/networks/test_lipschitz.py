"""The Lipschitz bound, wherever the weights are and whatever training does to them."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from flowbench.certificates import randomised
from flowbench.core import SolverError
from flowbench.networks.lipschitz import LipschitzError, LipschitzPerceptron, spectral_bounds
from flowbench.runtime.seeding import seeded

ROUNDING = 1 + 1e-5


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e10, 1e30])
@pytest.mark.parametrize("shape", [(1, 1), (2, 128), (128, 2), (64, 64), (32, 128)], ids=str)
def test_bounds_are_never_below_the_spectral_norm_and_little_above(shape, size):
    gaussian, nearly_flat = torch.randn(shape), torch.empty(shape)
    torch.nn.init.orthogonal_(nearly_flat)
    low_rank = torch.randn(shape[0], 1) @ torch.randn(1, shape[1])
    matrices = [size * matrix for matrix in (gaussian, nearly_flat, low_rank)]
    found = spectral_bounds(matrices).double()
    true = torch.stack([torch.linalg.matrix_norm(matrix.double(), 2) for matrix in matrices])
    assert (found * ROUNDING >= true).all()
    assert (found <= 1.02 * true).all()


def test_a_matrix_of_zeros_has_no_norm_and_finite_gradients():
    zero = torch.zeros(3, 4, requires_grad=True)
    (bound,) = spectral_bounds([zero])
    bound.backward()
    assert float(bound.detach()) < 1e-30
    assert zero.grad.isfinite().all()


def test_gradients_of_bounds_agree_with_finite_differences():
    matrices = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 5), (4, 2))]
    assert gradcheck(lambda *given: spectral_bounds(given), matrices)


def steepest(network: LipschitzPerceptron, x: torch.Tensor) -> float:
    """The largest spectral norm of the Jacobian at some points, in float64."""
    with torch.no_grad():
        contraction = network.bounded().detached(torch.float64)
        return float(torch.linalg.matrix_norm(contraction.at(x.double()).jacobian(), 2).max())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("hidden", [[], [16], [16, 32], [8, 8, 8]], ids=str)
@pytest.mark.parametrize("coefficient", [0.5, 0.97])
def test_the_bound_holds_at_random_weights(hidden, scale, coefficient, training):
    network = randomised(LipschitzPerceptron(3, hidden, coefficient), scale=scale).train(training)
    with torch.no_grad():
        norms = [float(torch.linalg.matrix_norm(weight.double(), 2)) for weight in network.bounded().weights]
    assert math.prod(norms) <= coefficient * ROUNDING
    x = 3 * torch.randn(500, 3)
    assert steepest(network, x) <= coefficient * ROUNDING


def test_pairs_of_points_come_nearer():
    contraction = randomised(LipschitzPerceptron(4, [16, 16]), scale=10.0).bounded()
    x = 2 * torch.randn(1000, 4)
    for distance in (1e-2, 1.0, 100.0):
        y = x + distance * torch.randn(1000, 4)
        moved, apart = (contraction(x) - contraction(y)).norm(dim=1), (x - y).norm(dim=1)
        assert (moved <= 0.97 * apart * (1 + 1e-4)).all()


def test_training_steps_cannot_break_the_bound_and_come_near_it():
    """Large steps towards a map that is as steep as it can be."""
    network = LipschitzPerceptron(2, [16, 16])
    parameters = list(network.parameters())
    x = torch.randn(256, 2)
    steepness = []
    for _ in range(60):
        loss = (network.bounded()(x) + 5 * x).square().mean()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.3 * gradient / gradient.norm()
        steepness.append(steepest(network, x))
    assert max(steepness) <= 0.97 * ROUNDING
    assert steepness[-1] > 0.8, "two hidden layers keep most of the slope that they may have"


@pytest.mark.parametrize("broken", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_lost_bound_is_an_error_before_it_is_used(place, broken):
    network = LipschitzPerceptron(2, [8, 8])
    with torch.no_grad():
        network.layers[place].weight[0, 0] = broken
    with pytest.raises(LipschitzError, match=r"Lipschitz bound of 0\.97 is lost: a weight is not finite"):
        network.bounded()
    assert issubclass(LipschitzError, SolverError), "which ends a training on record"


def test_weights_from_elsewhere_are_bounded_too():
    network = LipschitzPerceptron(2, [8, 8])
    network.load_state_dict({name: 1000 * value for name, value in network.state_dict().items()})
    assert steepest(network.eval(), torch.randn(200, 2)) <= 0.97 * ROUNDING


@pytest.mark.parametrize("coefficient", [-0.5, 0.0, 1.0, 1.5, math.nan])
def test_only_a_contraction_can_be_made(coefficient):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        LipschitzPerceptron(2, [8], coefficient)


@pytest.mark.parametrize("hidden", [[], [6], [6, 4]], ids=str)
def test_products_with_the_jacobian_are_those_of_autograd(hidden):
    network = randomised(LipschitzPerceptron(3, hidden).double(), scale=1.0)
    contraction, x = network.bounded(), torch.randn(5, 3, dtype=torch.float64)
    at = contraction.at(x)
    expected = torch.stack([torch.autograd.functional.jacobian(contraction, point[None])[0, :, 0] for point in x])
    v = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(at.values, contraction(x))
    torch.testing.assert_close(at.jacobian(), expected)
    torch.testing.assert_close(at.push(v), torch.einsum("nij,knj->kni", expected, v))
    torch.testing.assert_close(at.pull(v), torch.einsum("nij,kni->knj", expected, v))
    parts = list(at.split(2))
    assert [len(part.values) for part in parts] == [2, 2, 1]
    torch.testing.assert_close(torch.cat([part.jacobian() for part in parts]), expected)
