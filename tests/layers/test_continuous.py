"""Continuous flows against equations whose solutions are known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from flowbench.certificates import randomised
from flowbench.core import FlowModel, SolverError
from flowbench.layers.continuous import ContinuousFlow, solving
from flowbench.networks.field import PerceptronField, VectorField
from flowbench.runtime.seeding import seeded


class Linear(VectorField):
    """v = A x, whose flow is a matrix exponential."""

    def __init__(self, matrix: Tensor):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return x @ self.matrix.T


class Constant(VectorField):
    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return 0 * x + self.value


MATRIX = torch.tensor([[0.5, -1.2, 0.3], [0.9, -0.4, 0.0], [0.2, 0.1, 0.7]], dtype=torch.float64)


def points(n: int, dims: int = 3, seed: int = 0) -> Tensor:
    with seeded(seed):
        return torch.randn(n, dims, dtype=torch.float64)


def perceptron(dims: int = 3, scale: float = 1.0) -> VectorField:
    with seeded(0):
        return randomised(PerceptronField(dims, [16, 16], frequencies=2), scale=scale).double()


def test_a_linear_field_is_solved_by_the_matrix_exponential():
    flow = ContinuousFlow(Linear(MATRIX), tolerance=1e-9)
    z = points(20)
    x, logdet = flow.decode(z)
    torch.testing.assert_close(x, z @ torch.linalg.matrix_exp(MATRIX).T, atol=1e-7, rtol=0)
    torch.testing.assert_close(logdet, torch.full((20,), float(MATRIX.trace()), dtype=torch.float64))
    torch.testing.assert_close(flow.encode(x)[1], -logdet)


@pytest.mark.parametrize("tolerance", [1e-5, 1e-9])
def test_the_likelihood_under_a_linear_field_is_that_of_the_gaussian_it_makes(tolerance):
    spread = torch.linalg.matrix_exp(MATRIX)
    exact = MultivariateNormal(torch.zeros(3, dtype=torch.float64), spread @ spread.T)
    prior = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    model = FlowModel(ContinuousFlow(Linear(MATRIX), tolerance=tolerance), prior)
    x = exact.sample((50,))
    torch.testing.assert_close(model.log_prob(x), exact.log_prob(x), atol=100 * tolerance, rtol=0)


def test_the_exact_divergence_is_the_trace_of_the_jacobian():
    field, x, t = perceptron(), points(5), torch.tensor(0.3, dtype=torch.float64)
    _, divergence = ContinuousFlow(field)._exact_divergence(t, x)
    traces = [torch.autograd.functional.jacobian(lambda y: field(t, y), one).trace() for one in x]
    torch.testing.assert_close(divergence[:, 0], torch.stack(traces))


def test_quadratic_forms_by_hand_are_those_of_reverse_mode():
    field, x, t = perceptron(), points(5).requires_grad_(), torch.tensor(0.3, dtype=torch.float64)
    directions = points(10, seed=1).view(2, 5, 3)
    by_hand, by_torch = field.quadratic_forms(t, x, directions), VectorField.quadratic_forms(field, t, x, directions)
    torch.testing.assert_close(by_hand, by_torch)
    products = torch.func.vmap(lambda d: torch.func.jvp(lambda y: field(t, y), (x,), (d,))[1])(directions)
    torch.testing.assert_close(by_hand[1], (directions * products).sum(2))
    # Through which training differentiates once more.
    gradients = [
        torch.autograd.grad(forms.sum(), [x, *field.layers[1].parameters()]) for _, forms in (by_hand, by_torch)
    ]
    torch.testing.assert_close(*gradients)
    with torch.no_grad():
        torch.testing.assert_close(VectorField.quadratic_forms(field, t, x, directions), by_hand)


def test_times_may_differ_from_example_to_example():
    field, x = perceptron(), points(4)
    t = torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64)
    each = [field(time, one[None]) for time, one in zip(t, x, strict=True)]
    torch.testing.assert_close(field(t, x), torch.cat(each))
    assert not torch.allclose(field(t[:1], x[:1]), field(t[3:], x[:1]))


def test_hutchinson_agrees_with_the_exact_log_determinant_in_expectation():
    field, x = perceptron(), points(3)
    exact = ContinuousFlow(field, tolerance=1e-7).encode(x)
    with seeded(0):
        estimate = ContinuousFlow(field, tolerance=1e-7, probes=2000).solve(x, 1.0, 0.0)
    torch.testing.assert_close(estimate.x, exact[0], atol=1e-5, rtol=0)
    error = estimate.logdets.std(1) / math.sqrt(2000)
    assert (error > 1e-4).all(), "the probes must differ for this to say anything"
    assert ((estimate.logdets.mean(1) - exact[1]).abs() < 4 * error).all()


def test_probes_are_averaged_and_change_from_call_to_call():
    flow, x = ContinuousFlow(perceptron(), probes=3), points(2)
    with seeded(0):
        logdet = flow.encode(x)[1]
    with seeded(0):
        solution = flow.solve(x, 1.0, 0.0)
    assert solution.logdets.shape == (2, 3)
    torch.testing.assert_close(solution.logdets.mean(1), logdet)
    assert not torch.allclose(flow.encode(x)[1], flow.encode(x)[1])


@torch.no_grad()
def test_the_round_trip_falls_with_the_tolerance():
    flow, x = ContinuousFlow(perceptron(), tolerance=1e-3), points(50)

    def error() -> float:
        return float((flow.decode(flow.encode(x)[0])[0] - x).abs().max())

    errors = [error()]
    for _ in range(3):
        with solving(flow, tolerance_factor=0.1 ** len(errors)):
            errors.append(error())
    assert flow.tolerance == 1e-3
    assert all(after < before / 2 for before, after in pairwise(errors))


def test_without_gradients_a_state_of_few_digits_is_not_rounded_at_each_step():
    matrix = torch.tensor([[3.0, 40.0], [-40.0, -3.0]])  # six turns, and thousands of evaluations
    flow, x = ContinuousFlow(Linear(matrix), tolerance=1e-9, max_evaluations=10_000), points(50, 2).float()

    def error() -> float:
        there, _ = flow.transport(x, 1.0, 0.0)
        back, _ = flow.transport(there, 0.0, 1.0)
        assert back.dtype == there.dtype == torch.float32
        return float((back - x).abs().max())

    rounded = error()
    with torch.no_grad():
        assert error() < 2e-6
    assert rounded > 2e-5


@torch.no_grad()
def test_without_log_determinants_the_way_is_the_same_and_nothing_is_differentiated():
    flow, x = ContinuousFlow(perceptron(), tolerance=1e-8), points(5)
    wanted = flow.encode(x)[0]

    def refuse(*_) -> None:
        raise AssertionError("asked for a divergence")

    with solving(flow, logdets=False), solving(flow, tolerance_factor=10):
        flow.field.quadratic_forms = refuse
        z, logdet = flow.encode(x)
        again, _ = flow.decode(z)
    del flow.field.quadratic_forms
    torch.testing.assert_close(z, wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(again, x, atol=1e-6, rtol=0)
    assert logdet.isnan().all()
    torch.testing.assert_close(flow.encode(x)[0], wanted)
    assert flow.encode(x)[1].isfinite().all()


def test_transport_goes_where_solve_goes_and_counts():
    flow, z = ContinuousFlow(perceptron(), tolerance=1e-8), points(5)
    x, evaluations = flow.transport(z)
    torch.testing.assert_close(x, flow.decode(z)[0], atol=1e-7, rtol=0)
    calls = 0

    def count(*_) -> None:
        nonlocal calls
        calls += 1

    flow.field.register_forward_hook(count)
    _, again = flow.transport(z)
    assert again == evaluations == calls


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2)])
def test_fixed_steps_converge_at_the_order_of_their_method(method, order):
    flow, z = ContinuousFlow(Linear(MATRIX)), points(5)
    exact = z @ torch.linalg.matrix_exp(MATRIX).T

    def error(steps: int) -> float:
        *_, (t, x) = flow.steps(z, method, steps)
        assert t == 1
        return float((x - exact).abs().max())

    assert math.log2(error(16) / error(32)) == pytest.approx(order, abs=0.2)


def test_gradients_are_those_of_the_exact_solution():
    matrix = MATRIX.clone().requires_grad_()
    field = Linear(MATRIX)
    field.matrix = matrix
    z = points(4)
    x, logdet = ContinuousFlow(field, tolerance=1e-9).decode(z)
    found = torch.autograd.grad(x.square().sum() + logdet.sum(), matrix)[0]
    exact = z @ torch.linalg.matrix_exp(matrix).T
    wanted = torch.autograd.grad(exact.square().sum() + 4 * matrix.trace(), matrix)[0]
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


def test_too_many_evaluations_name_the_option():
    flow = ContinuousFlow(perceptron(), tolerance=1e-9, max_evaluations=20)
    with pytest.raises(SolverError, match=r"more than max_evaluations = 20 .* tolerance = 1e-09; raise one of them"):
        flow.encode(points(3))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("divergence", [True, False])
def test_a_field_that_is_not_finite_is_named(value, divergence):
    flow = ContinuousFlow(Constant(value), probes=None)
    with pytest.raises(SolverError, match="the vector field is not finite; lower the budget's learning_rate"):
        flow.solve(points(3), 1.0, 0.0) if divergence else flow.transport(points(3))


def test_a_divergence_that_is_not_finite_is_named_though_the_field_is():
    class Kink(VectorField):
        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return (x - x.detach()).sqrt()  # zero, of a slope that is not finite

    with pytest.raises(SolverError, match="the vector field is not finite"):
        ContinuousFlow(Kink()).decode(points(3))


def test_a_solution_that_reaches_infinity_ends_with_the_option():
    class Explosive(VectorField):
        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            return x.square() * 50

    with pytest.raises(SolverError, match=r"tolerance = 1e-05 cannot be reached; raise it|more than max_evaluations"):
        ContinuousFlow(Explosive()).transport(torch.ones(2, 2))


def test_no_solver_reaches_a_tolerance_of_zero():
    flow = ContinuousFlow(perceptron(), tolerance=0.0)
    for direction in (flow.encode, flow.decode, flow.transport):
        with pytest.raises(SolverError, match="tolerance = 0 cannot be reached; raise it"):
            direction(points(3))


def test_an_assertion_of_the_field_is_no_error_of_the_solver():
    class Particular(VectorField):
        def forward(self, t: Tensor, x: Tensor) -> Tensor:
            raise AssertionError("underneath")

    with pytest.raises(AssertionError, match="underneath"):
        ContinuousFlow(Particular()).transport(points(3))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_is_solved_in_single(gradients, autocast):
    flow, x = ContinuousFlow(perceptron().float()), points(5).bfloat16()
    with torch.set_grad_enabled(gradients):
        expected = [*flow.encode(x.float()), flow.transport(x.float())[0], *list(flow.steps(x.float(), "euler", 3))[-1]]
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = [*flow.encode(x), flow.transport(x)[0], *list(flow.steps(x, "euler", 3))[-1]]
            with solving(flow, logdets=False):
                assert torch.equal(flow.decode(x)[0], flow.transport(x)[0])
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_single_precision_is_solved_as_far_as_it_goes():
    flow = ContinuousFlow(perceptron().float(), tolerance=1e-12)
    x = points(5).float()
    torch.testing.assert_close(flow.decode(flow.encode(x)[0])[0], x, atol=1e-4, rtol=0)
