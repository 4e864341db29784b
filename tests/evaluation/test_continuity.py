"""The density along the paths of a field with a known solution, and the equation between the two."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from flowbench.evaluation import continuity as of_continuity
from flowbench.evaluation.continuity import continuity, log_density, velocity_and_divergence
from flowbench.flows._continuous import ContinuousModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.continuous import ContinuousFlow
from flowbench.networks.field import PerceptronField, VectorField
from flowbench.runtime.seeding import seeded

MATRIX = torch.tensor([[0.4, -1.5], [0.8, -0.9]])
TIMES = torch.tensor([0.0, 0.3, 0.7, 1.0])


class Linear(VectorField):
    """v = c(t) A x, whose paths are x_t = exp(C(t) A) x_0 with C the integral of c = 2t."""

    def __init__(self, matrix: Tensor = MATRIX):
        super().__init__()
        self.matrix = torch.nn.Parameter(matrix.clone())

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return 2 * t.reshape(-1, 1) * (x @ self.matrix.T)


def model_of(field: VectorField) -> ContinuousModel:
    return ContinuousModel([], ContinuousFlow(field), [], standard_normal(2), None)


def true_density(t: float) -> MultivariateNormal:
    grown = torch.linalg.matrix_exp(t**2 * MATRIX.double())
    return MultivariateNormal(torch.zeros(2, dtype=torch.float64), grown @ grown.T)


def points(count: int = 50) -> tuple[Tensor, Tensor]:
    with seeded(0):
        return TIMES.repeat_interleave(count), torch.randn(len(TIMES) * count, 2)


def test_the_density_on_the_way_is_that_of_the_solution():
    t, x = points()
    found = log_density(model_of(Linear()).double(), t.double(), x.double())
    expected = torch.cat([true_density(float(at)).log_prob(x[t == at].double()) for at in TIMES])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_the_divergence_is_the_trace():
    t, x = points()
    velocity, divergence = velocity_and_divergence(Linear(), t, x)
    torch.testing.assert_close(velocity, Linear()(t, x))
    torch.testing.assert_close(divergence, 2 * t * MATRIX.trace())


def test_the_rate_is_that_of_the_solution_and_nothing_is_left_over():
    t, x = points()
    rate, residual = continuity(model_of(Linear()), t, x)
    assert rate.dtype == torch.float64
    h = 1e-4
    for at in TIMES[1:]:
        around = [true_density(float(at) + sign * h).log_prob(x[t == at].double()).exp() for sign in (1, -1)]
        torch.testing.assert_close(rate[t == at], (around[0] - around[1]) / (2 * h), rtol=1e-4, atol=1e-6)
    assert residual.abs().max() < 1e-5 * rate.abs().max()


def test_little_is_left_over_where_the_density_is_narrow():
    contraction = -6 * torch.eye(2)
    t, start = points()
    rate, residual = continuity(model_of(Linear(contraction)), t, start * torch.exp(-6 * t**2)[:, None])
    for at in TIMES[1:]:  # to a width of 2.5e-3 at the last
        assert residual[t == at].abs().max() < 1e-5 * rate[t == at].abs().max()


def test_a_trained_like_field_leaves_little_over():
    with seeded(1):
        model = model_of(PerceptronField(2, [16, 16], frequencies=2))
    rate, residual = continuity(model, *points())
    assert rate.abs().max() > 1e-3
    assert residual.square().mean().sqrt() < 1e-4 * rate.square().mean().sqrt()


@pytest.mark.parametrize("moved", [(1.0, 0.1), (0.9, 0.0)], ids=["shifted", "late"])
def test_a_density_of_other_paths_is_found(moved, monkeypatch):
    slower, shift = moved
    monkeypatch.setattr(of_continuity, "log_density", lambda model, t, x: log_density(model, slower * t, x + shift))
    rate, residual = continuity(model_of(Linear()), *points())
    assert residual.square().mean().sqrt() > 0.01 * rate.square().mean().sqrt()
