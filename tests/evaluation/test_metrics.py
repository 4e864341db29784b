"""Each metric against a closed form, scipy, or an error that was planted."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from flowbench.certificates import randomised
from flowbench.core import FlowModel, FlowModule, FlowSequential
from flowbench.evaluation.invertibility import invertibility
from flowbench.evaluation.likelihood import bits_per_dim, likelihood, negative_log_likelihoods
from flowbench.evaluation.logdet import logdet
from flowbench.evaluation.moments import moments
from flowbench.evaluation.plane import kl_to_target, minor_mode_share, outside_share
from flowbench.evaluation.speed import speed
from flowbench.evaluation.subject import generate
from flowbench.evaluation.two_sample import energy_distance, sliced_wasserstein, two_sample
from flowbench.flows._priors import standard_normal
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.flatten import Flatten
from flowbench.metrics import METRICS
from flowbench.metrics.values import combine
from flowbench.numerics.quadrature import Grid
from flowbench.runtime.seeding import seeded


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


def identity(dims: int = 2) -> FlowModel:
    return FlowModel(FlowSequential(), standard_normal(dims))


def test_bits_per_dim():
    assert bits_per_dim(3 * 64 * math.log(2), 64) == pytest.approx(3)


@pytest.mark.parametrize("n", [1, 10, 5000])  # more than is evaluated at once
def test_likelihood_is_the_mean_over_the_test_split(n):
    x = torch.randn(n, 3, 2)
    model = FlowModel(FlowSequential(), Independent(Normal(torch.zeros(3, 2), 2 * torch.ones(3, 2)), 2))
    expected = -float(Normal(0.0, 2.0).log_prob(x.double()).sum()) / n
    nats = negative_log_likelihoods(model, x, draws=10, batch_size=4096)
    assert nats.shape == (1, n)  # without grey levels one draw is enough
    assert nats.dtype == torch.float64
    measured = likelihood(nats, dims=6)
    assert measured.pop("nll_nats") == pytest.approx(expected, rel=1e-5)
    assert measured.pop("bits_per_dim") == pytest.approx(expected / (6 * math.log(2)), rel=1e-5)
    assert set(measured) == ({"bits_per_dim_standard_error"} if n > 1 else set())


def test_likelihood_averages_over_draws_of_the_noise():
    levels = torch.randint(4, (20, 1))
    model = FlowModel(FlowSequential(), standard_normal(1), dequantise=Dequantise(4))
    calls = []
    log_prob = model.log_prob
    model.log_prob = lambda x: calls.append(log_prob(x)) or calls[-1]
    nats = negative_log_likelihoods(model, levels, draws=7, batch_size=20)
    measured = likelihood(nats, dims=1)
    assert nats.shape == (7, 20)
    assert len(calls) == 7
    bits = -torch.stack(calls).double() / math.log(2)
    assert measured == {
        "nll_nats": pytest.approx(math.log(2) * float(bits.mean()), rel=1e-6),
        "bits_per_dim": pytest.approx(float(bits.mean()), rel=1e-6),
        "bits_per_dim_standard_error": pytest.approx(stats.sem(bits.mean(0).numpy()), rel=1e-6),
        "bits_per_dim_noise_std": pytest.approx(np.std(bits.mean(1).numpy(), ddof=1), rel=1e-6),
    }
    assert set(measured) <= set(METRICS)
    assert "bits_per_dim_noise_std" not in likelihood(nats[:1], dims=1)


def test_sliced_wasserstein_in_one_dimension_is_scipys():
    x, y = torch.randn(500, 1), 2 + 3 * torch.rand(500, 1)
    expected = stats.wasserstein_distance(x[:, 0].numpy(), y[:, 0].numpy())
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dims", [2, 5])
def test_sliced_wasserstein_of_a_shift_is_the_mean_length_of_its_projections(dims):
    x, shift = torch.randn(100, dims), torch.arange(1.0, dims + 1)
    # E|⟨v, e⟩| for e uniform on the sphere.
    mean_cosine = math.gamma(dims / 2) / (math.sqrt(math.pi) * math.gamma((dims + 1) / 2))
    distance = sliced_wasserstein(x, x + shift, projections=20_000)
    assert distance == pytest.approx(float(shift.norm()) * mean_cosine, rel=0.02)


def test_energy_distance_in_one_dimension_is_the_square_of_scipys():
    x, y = torch.randn(300, 1, dtype=torch.float64), 1 + 2 * torch.rand(200, 1, dtype=torch.float64)
    expected = stats.energy_distance(x[:, 0].numpy(), y[:, 0].numpy()) ** 2
    assert energy_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_energy_distance_between_two_points():
    x, y = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    assert energy_distance(x, y) == pytest.approx(10)


def test_energy_distance_in_parts_is_that_of_the_whole(monkeypatch):
    x, y = torch.randn(50, 3), torch.randn(40, 3) + 1
    whole = energy_distance(x, y)
    monkeypatch.setattr("flowbench.evaluation.two_sample._CHUNK", 7)
    assert energy_distance(x, y) == pytest.approx(whole, rel=1e-9)


def test_energy_distance_between_images_is_exact():
    x, y = torch.randint(256, (2, 60, 200)).float()
    y[:10] = x[:10]
    x64, y64 = x.double(), y.double()
    within = [(a[:, None] - b).norm(dim=2).mean() for a, b in ((x64, y64), (x64, x64), (y64, y64))]
    assert energy_distance(x, y) == pytest.approx(float(2 * within[0] - within[1] - within[2]), rel=1e-10)
    assert energy_distance(x, x) == 0
    assert two_sample(x.view(60, 2, 10, 10), y.view(60, 2, 10, 10).byte())["energy_distance"] == energy_distance(x, y)


def test_distances_are_zero_for_the_same_sample_and_grow_with_the_shift():
    x = torch.randn(300, 2)
    assert sliced_wasserstein(x, x) == 0
    assert energy_distance(x, x) == pytest.approx(0, abs=1e-9)
    near, far = two_sample(x + 0.1, x), two_sample(x + 1, x)
    assert all(0 < near[name] < far[name] for name in ("sliced_wasserstein", "energy_distance"))


def test_samples_of_unequal_sizes_are_compared_at_the_smaller():
    x, y = torch.randn(30, 2), torch.randn(20, 2)
    with seeded(1):
        unequal = two_sample(x, y)
    with seeded(1):
        assert two_sample(x[:20], y) == unequal


GRID = Grid(-10, 10, 200)
Q = MultivariateNormal(torch.tensor([0.5, -1.0]).double(), torch.tensor([[1.0, 0.3], [0.3, 0.8]]).double())
P = MultivariateNormal(torch.tensor([0.0, 0.5]).double(), torch.tensor([[2.0, -0.4], [-0.4, 1.0]]).double())


@pytest.mark.parametrize("log_normaliser", [0.0, 100.0, -3.0])
def test_kl_to_target_is_the_closed_form_whatever_the_normaliser(log_normaliser):
    points = GRID.points(dtype=torch.float64)
    value = kl_to_target(Q.log_prob(points), P.log_prob(points) + log_normaliser, GRID)
    assert value == pytest.approx(float(kl_divergence(Q, P)), abs=1e-8)


def test_kl_to_target_where_the_model_has_no_mass():
    points = GRID.points(dtype=torch.float64)
    inside = points[:, 0].abs() < 5
    log_q = torch.where(inside, Q.log_prob(points), -math.inf)
    assert kl_to_target(log_q, P.log_prob(points), GRID) == pytest.approx(float(kl_divergence(Q, P)), abs=1e-3)
    log_p = torch.where(inside, P.log_prob(points), -math.inf)
    assert kl_to_target(log_q, log_p, GRID) == pytest.approx(float(kl_divergence(Q, P)), abs=1e-3)
    assert kl_to_target(Q.log_prob(points), log_p, GRID) == math.inf


@pytest.mark.parametrize(("left", "right", "share"), [(5, 5, 0.5), (9, 1, 0.1), (1, 9, 0.1), (10, 0, 0)])
def test_minor_mode_share(left, right, share):
    samples = torch.tensor([[-2.0, 1.0]] * left + [[2.0, -1.0]] * right)
    assert minor_mode_share(samples) == pytest.approx(share)


def test_outside_share():
    samples = torch.tensor([[0.0, 0.0], [9.9, -9.9], [10.5, 0.0], [0.0, math.nan]])
    assert outside_share(samples, GRID) == 0.5


class OffBy(FlowModule):
    """The identity, but that decode is off by ``error`` in the first feature, where ``x₁ > threshold``."""

    def __init__(self, error: float, threshold: float = -math.inf):
        super().__init__()
        self.error, self.threshold = error, threshold

    def encode(self, x: Tensor):
        return x, x.new_zeros(len(x))

    def decode(self, z: Tensor):
        wrong = torch.where(z[:, :1] > self.threshold, self.error, 0.0).to(z)
        return torch.cat([z[:, :1] + wrong, z[:, 1:]], 1), z.new_zeros(len(z))


def test_invertibility_finds_a_planted_error():
    x = torch.linspace(-3, 3, 8000).view(
        -1, 2
    )  # at a threshold of 0 half of the points are wrong, in one of 2 features
    measured = invertibility(FlowModel(OffBy(0.25, threshold=0.0), standard_normal(2)), x, points=4000, batch_size=4096)
    for name in ("max", "max_float64", "p99", "max_noise", "max_noise_float64"):
        assert measured[f"invertibility_error_{name}"] == pytest.approx(0.25, rel=1e-6)
    assert measured["invertibility_error_mean"] == pytest.approx(0.25 / 4, rel=1e-2)
    assert measured["latent_invertibility_error_max"] == pytest.approx(0.25, rel=1e-6)
    assert measured["latent_invertibility_error_max_float64"] == pytest.approx(0.25)
    assert measured["non_finite_share"] == measured["non_finite_share_float64"] == 0
    assert set(measured) <= set(METRICS)


def test_a_rare_error_is_in_the_maximum_and_not_in_the_percentile():
    x = torch.linspace(-3, 3, 2000).view(-1, 2)
    measured = invertibility(
        FlowModel(OffBy(0.25, threshold=2.99), standard_normal(2)), x, points=1000, batch_size=4096
    )
    assert measured["invertibility_error_max"] == pytest.approx(0.25, rel=1e-6)
    assert measured["invertibility_error_p99"] == 0


def test_invertibility_of_an_exact_map_is_zero():
    measured = invertibility(identity(), torch.randn(100, 2), points=50, batch_size=4096)
    assert set(measured.values()) == {0}


def test_round_trips_that_are_not_finite_are_counted():
    # Right of 0: half of the data, of the prior's samples and of the noise.
    x = torch.linspace(-3, 3, 8000).view(-1, 2)
    measured = invertibility(
        FlowModel(OffBy(math.nan, threshold=0.0), standard_normal(2)), x, points=4000, batch_size=4096
    )
    assert measured["non_finite_share"] == pytest.approx(0.5, abs=0.02)
    assert measured["non_finite_share_float64"] == pytest.approx(measured["non_finite_share"], abs=1e-3)
    for name in ("max", "max_float64", "p99", "max_noise", "max_noise_float64"):
        assert measured[f"invertibility_error_{name}"] == math.inf
    assert measured["latent_invertibility_error_max"] == math.inf


class Overflowing(FlowModule):
    """z = 10⁶⁰ x, which float32 does not hold."""

    def encode(self, x: Tensor):
        return x * 1e30 * 1e30, x.new_zeros(len(x))

    def decode(self, z: Tensor):
        return z * 1e-30 * 1e-30, z.new_zeros(len(z))


def test_what_only_float64_bears():
    measured = invertibility(FlowModel(Overflowing(), standard_normal(2)), torch.randn(90, 2), points=90, batch_size=50)
    # The data and the noise, but not the latents: they vanish on the way out.
    assert measured["non_finite_share"] == pytest.approx(2 / 3)
    assert measured["non_finite_share_float64"] == 0
    assert measured["invertibility_error_max"] == measured["invertibility_error_max_noise"] == math.inf
    assert measured["invertibility_error_max_float64"] < 1e-14
    assert measured["invertibility_error_max_noise_float64"] < 1e-14


class Counting(ElementwiseAffine):
    """Notes how many examples it is given at once."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__(shape)
        self.sizes: list[int] = []

    def encode(self, x: Tensor):
        self.sizes.append(len(x))
        return super().encode(x)

    def decode(self, z: Tensor):
        self.sizes.append(len(z))
        return super().decode(z)


@pytest.mark.parametrize(
    "measure",
    [
        lambda model, x, size: negative_log_likelihoods(model, x, 2, size),
        lambda model, x, size: invertibility(model, x, 100, size),
        lambda model, x, size: generate(model, x, size),
    ],
    ids=["likelihood", "invertibility", "samples"],
)
def test_passes_are_no_larger_than_wanted_and_change_nothing(measure):
    model, x = FlowModel(Counting((2,)), standard_normal(2)), torch.randn(100, 2)
    results = []
    for size in (1000, 7):
        model.transform.sizes.clear()
        with seeded(1):
            results.append(measure(model, x, size))
        assert max(model.transform.sizes) == min(size, 100)
    if isinstance(results[0], Tensor):
        torch.testing.assert_close(*results)
    else:
        assert results[0] == pytest.approx(results[1])


def test_a_sample_is_that_of_the_model():
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2), dequantise=Dequantise(4))
    with seeded(1):
        drawn = generate(model, model.prior().sample((50,)), 8)
    with seeded(1), torch.no_grad():
        assert torch.equal(model.sample(50), drawn)


def test_single_precision_is_measured_as_trained():
    transform = ElementwiseAffine((2,))
    with torch.no_grad():
        transform.shift.fill_(1e4)  # float32 keeps three digits behind the point
    measured = invertibility(FlowModel(transform, standard_normal(2)), torch.randn(500, 2), points=500, batch_size=4096)
    assert 1e-5 < measured["invertibility_error_max"] < 1e-2
    assert measured["invertibility_error_max_float64"] < 1e-10


def test_integer_data_is_dequantised_before_it_makes_the_round_trip():
    model = FlowModel(OffBy(0.25), standard_normal(2), dequantise=Dequantise(4))
    measured = invertibility(model, torch.randint(4, (100, 2)), points=100, batch_size=4096)
    assert measured["invertibility_error_max"] == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_logdet_finds_a_planted_error(direction):
    class Wrong(ElementwiseAffine):
        def encode(self, x):
            z, value = super().encode(x)
            return z, value + 0.125 * (direction == "encode")

        def decode(self, z):
            x, value = super().decode(z)
            return x, value + 0.125 * (direction == "decode")

    measured = logdet(FlowModel(Wrong((2,)), standard_normal(2)), torch.randn(20, 2), points=4)
    assert measured == pytest.approx({"logdet_error_max": 0.125})


def test_logdet_of_a_right_map_is_rounding():
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2), dequantise=Dequantise(4))
    assert logdet(model, torch.randint(4, (20, 2)), points=4)["logdet_error_max"] < 1e-12


@pytest.mark.parametrize("shape", [(3, 4, 4), (10, 3, 3)])  # 48 and 90 rows of three Jacobians, 64 at a time
def test_logdet_of_images(shape):
    channels = shape[0]
    network = torch.nn.Conv2d(channels // 2, 2 * (channels - channels // 2), 3, padding=1)
    transform = FlowSequential(ActNorm(shape), AffineCoupling(network), Flatten(shape))
    model = FlowModel(randomised(transform), standard_normal(math.prod(shape)), dequantise=Dequantise(256))
    images = torch.randint(256, (5, *shape), dtype=torch.uint8)
    assert logdet(model, images, points=3)["logdet_error_max"] < 1e-11
    model.transform.chain.append(OffBy(0.0))
    model.transform.chain[-1].encode = lambda x: (x * torch.linspace(1, 2, x.shape[1]).to(x), x.new_zeros(len(x)))
    missing = float(torch.linspace(1, 2, math.prod(shape)).log().sum())
    assert logdet(model, images, points=3)["logdet_error_max"] == pytest.approx(missing, rel=1e-5)


def test_moments():
    samples = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    measured = moments(samples, torch.tensor([1.5, 12.0]), torch.tensor([1.0, 4.0]))
    expected = {
        "learnt_mean_error": 0.5,
        "learnt_std_error": max(abs(math.sqrt(2) - 1), abs(math.sqrt(8) - 4) / 4),
        "learnt_mean_x1": 1,
        "learnt_mean_x2": 12,
        "learnt_std_x1": math.sqrt(2),
        "learnt_std_x2": math.sqrt(8),
        "true_mean_x1": 1.5,
        "true_mean_x2": 12,
        "true_std_x1": 1,
        "true_std_x2": 4,
    }
    assert measured == pytest.approx(expected)
    assert set(measured) <= set(METRICS)


def test_speed_counts_examples_and_not_calls(monkeypatch):
    clock = iter(np.arange(0, 1000, 0.25))  # each look at the clock is a quarter of a second later
    monkeypatch.setattr("flowbench.evaluation.speed.clock", lambda device: float(next(clock)))
    measured = speed(identity(), torch.randn(1500, 2), seconds=1.0, batch_size=4096)
    # After 1 s three calls of 1000 examples each have ended.
    assert measured == dict.fromkeys(["log_prob_samples_per_second", "sample_samples_per_second"], 3000.0)
    assert all(METRICS[name].host_dependent for name in measured)


@pytest.mark.parametrize("batch_size", [4096, 30])
def test_a_slow_sampler_is_called_twice_and_with_no_more_than_a_batch(monkeypatch, batch_size):
    clock = iter(np.arange(0, 1e6, 100.0))
    monkeypatch.setattr("flowbench.evaluation.speed.clock", lambda device: float(next(clock)))
    model = FlowModel(Counting((2,)), standard_normal(2))
    speed(model, torch.randn(50, 2), seconds=1.0, batch_size=batch_size)
    # Densities and samples: one call to warm up, one that counts.
    assert model.transform.sizes == [min(50, batch_size)] * 4


@pytest.mark.parametrize(
    ("how", "better", "expected"),
    [("mean", "lower", 2.0), ("worst", "lower", 4.0), ("worst", "higher", 0.5), ("worst", None, 4.0)],
)
def test_seeds_are_combined_by_their_mean_or_their_worst(how, better, expected):
    assert combine([1.5, 4.0, 0.5], how, better) == expected


def test_a_value_that_is_no_number_is_the_worst():
    assert combine([1.0, math.nan], "worst", "higher") == -math.inf
    assert combine([1.0, math.nan], "worst", "lower") == math.inf
