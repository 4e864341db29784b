"""Distances and energies of transports against closed forms."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor

from flowbench.evaluation import transport
from flowbench.evaluation.transport import path_energy, sample_distance, straightness, wasserstein_2
from flowbench.flows._continuous import ContinuousModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.continuous import ContinuousFlow
from flowbench.metrics import METRICS
from flowbench.networks.field import VectorField
from flowbench.runtime.seeding import seeded


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


class Growth(VectorField):
    """v = a x."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.rate * x


class Rotation(VectorField):
    """v = ω (-x₂, x₁)."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.rate * torch.stack((-x[:, 1], x[:, 0]), 1)


class Displacement(VectorField):
    """v = (s - 1) x / (1 + (s - 1) t): straight ways from x to s x, at constant speed."""

    def __init__(self, scale: float):
        super().__init__()
        self.scale = scale

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return (self.scale - 1) * x / (1 + (self.scale - 1) * t)


def model(field: VectorField, before=()) -> ContinuousModel:
    return ContinuousModel(before, ContinuousFlow(field), [], standard_normal(2), dequantise=None)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_wasserstein_2_is_the_best_of_all_assignments(dims):
    x, y = torch.randn(6, dims), 2 * torch.randn(6, dims) + 1
    squares = [(x - y[list(order)]).square().sum(1).mean() for order in permutations(range(6))]
    assert wasserstein_2(x, y) == pytest.approx(math.sqrt(min(squares)), rel=1e-6)


def test_wasserstein_2_of_a_shift_is_its_length():
    x = torch.randn(300, 2)
    assert wasserstein_2(x, x.flip(0) + torch.tensor([3.0, 4.0])) == pytest.approx(5, rel=1e-6)
    assert wasserstein_2(x, x[torch.randperm(300)]) == 0


def test_wasserstein_2_of_gaussians_of_one_shape_is_the_difference_of_their_deviations():
    # √2 |s - 1| in two dimensions; two samples are some way apart even at s = 1.
    x, y = torch.randn(2, 1500, 2)
    assert wasserstein_2(x, 4 * y) == pytest.approx(3 * math.sqrt(2), rel=0.03)
    assert 0.05 < wasserstein_2(x, y) < 0.3


def test_only_as_many_points_are_assigned_as_both_samples_have(monkeypatch):
    x, y = torch.randn(50, 2), torch.randn(30, 2)
    assert sample_distance(x, y) == {"wasserstein_2": wasserstein_2(x[:30], y)}
    monkeypatch.setattr(transport, "POINTS", 20)
    assert sample_distance(x, y) == {"wasserstein_2": wasserstein_2(x[:20], y[:20])}


@pytest.mark.parametrize("rate", [-2.0, 0.5, 1.5])
def test_path_energy_of_exponential_growth(rate):
    x = torch.randn(100, 3)
    # |a x₀ exp(at)|² integrates to ½ a (exp(2a) - 1) |x₀|².
    expected = rate / 2 * math.expm1(2 * rate) * float(x.square().sum(1).mean())
    assert path_energy(Growth(rate), x) == pytest.approx(expected, rel=1e-5)


def test_path_energy_of_a_rotation():
    x = torch.randn(100, 2)
    assert path_energy(Rotation(2.0), x) == pytest.approx(4 * float(x.square().sum(1).mean()), rel=1e-5)


def test_path_energy_of_images():
    assert path_energy(Growth(1.0), torch.ones(2, 3, 4, 4)) == pytest.approx(math.expm1(2) / 2 * 48, rel=1e-5)


def same_start(monkeypatch, of: ContinuousModel) -> Tensor:
    """Latents that the model draws from now on."""
    z = torch.randn(500, 2)
    monkeypatch.setattr(of, "start", lambda _: z)
    return z


@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_the_straight_way_of_an_optimal_plan_has_no_excess_energy(monkeypatch, scale):
    displacement = model(Displacement(scale))
    z = same_start(monkeypatch, displacement)
    measured = straightness(displacement, scale * z.flip(0))
    assert set(measured) <= set(METRICS)
    assert measured["path_energy"] == pytest.approx((scale - 1) ** 2 * float(z.square().sum(1).mean()), rel=1e-5)
    assert measured["normalised_path_energy"] == pytest.approx(0, abs=1e-5)


def test_a_detour_costs_what_it_is_longer(monkeypatch):
    # Growing to s takes ½ a (s² - 1) E|x₀|² with a = log s, where the straight way takes (s - 1)² E|x₀|².
    growth, scale = model(Growth(math.log(3))), 3.0
    measured = straightness(growth, scale * same_start(monkeypatch, growth))
    expected = math.log(scale) / 2 * (scale**2 - 1) / (scale - 1) ** 2 - 1
    assert measured["normalised_path_energy"] == pytest.approx(expected, rel=1e-4)


def test_energies_are_those_in_the_space_of_the_flow():
    halved = ElementwiseAffine((2,))
    with torch.no_grad():
        halved.log_scale.fill_(math.log(2))  # data is twice what the flow leads to
    data = 6 * torch.randn(500, 2)
    inside, outside = model(Displacement(3.0), [halved]), model(Displacement(3.0))
    with seeded(1):
        expected = straightness(outside, data / 2)
    with seeded(1):
        assert straightness(inside, data) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("far", [math.nan, math.inf, 1e30])
def test_points_beyond_all_bounds_are_infinitely_far(far):
    y = torch.randn(20, 2)
    x = y.clone()
    x[3, 1] = far
    assert wasserstein_2(x, y) == wasserstein_2(y, x) == math.inf
    assert sample_distance(x, y) == {"wasserstein_2": math.inf}
