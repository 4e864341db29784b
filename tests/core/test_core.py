"""The contracts: chains, models over any prior, random states that stay untouched, and checks that see errors."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import (
    Beta,
    Categorical,
    Independent,
    Laplace,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    StudentT,
    Uniform,
)

from flowbench.certificates import randomised
from flowbench.core import (
    Event,
    FittedModel,
    FlowModel,
    FlowModule,
    FlowSequential,
    Inverse,
    NoSuchDirectionError,
    ShapeError,
    soft_clamp,
    sum_event,
)
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.rescaling import Rescaling
from flowbench.layers.standardise import Standardise
from flowbench.runtime.seeding import seeded

CORRELATED = torch.tensor([[1.0, 0.6], [0.6, 2.0]])
PRIORS = {
    "normal": lambda: Independent(Normal(torch.zeros(2), torch.ones(2)), 1),
    "laplace": lambda: Independent(Laplace(torch.tensor([0.0, 1.0]), torch.ones(2)), 1),
    "student": lambda: Independent(StudentT(torch.tensor([3.0, 8.0])), 1),
    "beta": lambda: Independent(Beta(torch.tensor([2.0, 3.0]), torch.ones(2), validate_args=False), 1),
    "uniform": lambda: Independent(Uniform(torch.zeros(2), torch.ones(2), validate_args=False), 1),
    "multivariate normal by covariance": lambda: MultivariateNormal(torch.zeros(2), CORRELATED),
    "multivariate normal by precision": lambda: MultivariateNormal(torch.zeros(2), precision_matrix=CORRELATED),
    "mixture": lambda: MixtureSameFamily(
        Categorical(torch.tensor([0.3, 0.7])),
        Independent(Normal(torch.tensor([[-2.0, 0], [2, 1]]), torch.ones(2, 2)), 1),
    ),
    "mixture of multivariate normals": lambda: MixtureSameFamily(
        Categorical(logits=torch.zeros(2)), MultivariateNormal(torch.zeros(2, 2), CORRELATED.expand(2, 2, 2))
    ),
}


@pytest.fixture(params=PRIORS)
def prior(request):
    return PRIORS[request.param]()


def linear(dims: int = 2) -> FlowModule:
    """A map that mixes, stretches and shifts."""
    with seeded(0):
        return randomised(FlowSequential(ElementwiseAffine((dims,)), InvertibleLinear(dims)), scale=0.5)


def test_any_prior_gives_a_density_that_samples_agree_with(prior):
    model = FlowModel(linear(), prior)
    x, log_prob = model.sample_with_log_prob(20)
    assert x.shape == (20, 2)
    assert log_prob.shape == (20,)
    torch.testing.assert_close(model.log_prob(x), log_prob, atol=1e-4, rtol=1e-4)


def test_any_prior_follows_the_type_and_the_device_of_its_model(prior):
    model = FlowModel(linear(), prior).double()
    x, log_prob = model.sample_with_log_prob(20)
    assert x.dtype == log_prob.dtype == torch.float64
    # Float64 throughout: a tensor left behind in float32 would cost nine digits.
    torch.testing.assert_close(model.log_prob(x), log_prob, atol=1e-11, rtol=1e-11)
    assert model.float().sample(3).dtype == torch.float32
    assert model.to("meta").prior().mean.device.type == "meta"


def test_a_prior_may_be_learnt():
    class Learnt(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.log_scale = torch.nn.Parameter(torch.zeros(2))

        def forward(self):
            return Independent(Normal(torch.zeros(2), self.log_scale.exp()), 1)

    model = FlowModel(FlowSequential(), Learnt())
    assert model.parameter_count() == 2
    model.loss(torch.randn(10, 2)).backward()
    assert model.prior.log_scale.grad.all()
    model.zero_grad()
    model.sample_with_log_prob(10)[0].sum().backward()
    assert model.prior.log_scale.grad.all()


def test_log_prob_is_the_density_of_the_transformed_variable():
    shift, log_scale = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -0.7])
    transform = ElementwiseAffine((2,))
    transform.load_state_dict({"shift": shift, "log_scale": log_scale})
    model = FlowModel(transform, PRIORS["normal"]())
    x = torch.randn(10, 2)
    expected = Normal(shift, log_scale.exp()).log_prob(x).sum(1)
    torch.testing.assert_close(model.log_prob(x), expected)
    torch.testing.assert_close(model.loss(x), -expected.mean())


def test_the_generator_alone_decides_a_sample():
    model = FlowModel(linear(), PRIORS["mixture"]())

    def draw(seed: int) -> torch.Tensor:
        return model.sample(5, torch.Generator().manual_seed(seed))

    state = torch.get_rng_state()
    first = draw(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1234)
    assert torch.equal(draw(0), first)
    assert not torch.equal(draw(1), first)
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(model.sample(5, generator), first)
    assert not torch.equal(model.sample(5, generator), first)  # it has moved on
    x, _ = model.sample_with_log_prob(5, torch.Generator().manual_seed(0))
    assert torch.equal(x, first)


def test_seeded_puts_the_random_state_back_even_after_an_error():
    state = torch.get_rng_state()
    with seeded(7):
        first = torch.rand(3)
    with seeded(7):
        assert torch.equal(torch.rand(3), first)
    with pytest.raises(ZeroDivisionError), seeded(8):
        1 / torch.rand(3).gt(2).sum().item()
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_carry_gradients_unless_they_are_not_wanted():
    model = FlowModel(linear(), PRIORS["normal"]())
    x, log_prob = model.sample_with_log_prob(5)
    (x.square().sum() + log_prob.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        assert not model.sample(5).requires_grad


def test_a_chain_runs_its_maps_from_data_to_latent():
    double, add = Rescaling((1,)), ElementwiseAffine((1,))
    double.load_state_dict({"log_scale": torch.tensor([math.log(2)])})
    add.load_state_dict({"log_scale": torch.zeros(1), "shift": torch.tensor([-10.0])})
    z, logdet = FlowSequential(double, add).encode(torch.ones(3, 1))
    torch.testing.assert_close(z, torch.full((3, 1), 12.0))
    torch.testing.assert_close(logdet, torch.full((3,), math.log(2)))
    x, _ = FlowSequential(double, add).decode(z)
    torch.testing.assert_close(x, torch.ones(3, 1))


def test_an_empty_chain_is_the_identity():
    x = torch.randn(3, 2)
    for direction in ("encode", "decode"):
        image, logdet = getattr(FlowSequential(), direction)(x)
        assert torch.equal(image, x)
        assert torch.equal(logdet, torch.zeros(3))


def test_inverse_exchanges_the_directions():
    module, x = linear(), torch.randn(4, 2)
    for one, other in (("encode", "decode"), ("decode", "encode")):
        image, logdet = getattr(Inverse(module), one)(x)
        expected, expected_logdet = getattr(module, other)(x)
        assert torch.equal(image, expected)
        assert torch.equal(logdet, expected_logdet)
    assert Inverse(module).check(x).round_trip_error < 1e-12


class OneWay(FlowModule):
    """Halves what it is given, and cannot be turned back."""

    def encode(self, x):
        return x / 2, x.new_full((len(x),), -math.log(2) * x[0].numel())


def test_a_direction_that_does_not_exist_is_a_named_error():
    model = FlowModel(OneWay(), PRIORS["normal"]())
    assert model.log_prob(torch.randn(3, 2)).isfinite().all()
    with pytest.raises(NoSuchDirectionError, match="OneWay has no decode"):
        model.sample(3)
    with pytest.raises(NoSuchDirectionError, match="OneWay has no decode"):
        Inverse(OneWay()).encode(torch.randn(3, 2))
    with pytest.raises(NoSuchDirectionError, match="FlowModule has no encode"):
        FlowModule().encode(torch.randn(3, 2))
    with pytest.raises(NoSuchDirectionError):
        OneWay().check(torch.randn(3, 2))


def test_a_baseline_must_say_how_it_is_fitted():
    with pytest.raises(NotImplementedError, match="FittedModel does not say"):
        FittedModel(FlowSequential(), PRIORS["normal"]()).fit(torch.zeros(1, 2), torch.zeros(1, 2))


def test_a_check_leaves_its_module_alone():
    module, x = linear().train(), torch.randn(3, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    check = module.check(x)
    assert module.training
    assert all(value.dtype == torch.float32 for value in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert check.round_trip_error == max(check.data_error, check.latent_error)
    assert check.logdet_error == max(check.logdet_encode_error, check.logdet_decode_error, check.logdet_sum_error)


def test_a_check_says_where_the_error_is():
    class Wrong(Rescaling):
        def decode(self, z):
            x, logdet = super().decode(z)
            return x, logdet + 0.25

    check = Wrong((2,)).check(torch.randn(3, 2))
    assert check.logdet_decode_error == pytest.approx(0.25)
    assert check.logdet_sum_error == pytest.approx(0.25)
    assert check.logdet_encode_error == check.round_trip_error == 0


def test_what_is_not_a_number_counts_as_an_infinite_error():
    class Broken(Rescaling):
        def decode(self, z):
            return z * torch.nan, z.new_zeros(len(z))

    assert Broken((2,)).check(torch.randn(3, 2)).data_error == math.inf


@pytest.mark.parametrize("limit", [0.5, 3.0])
def test_soft_clamp(limit):
    x = torch.linspace(-100, 100, 2001, dtype=torch.float64, requires_grad=True)
    y = soft_clamp(x, limit)
    assert float(y.abs().max().detach()) <= limit
    assert (y.diff() >= 0).all()
    y.sum().backward()
    assert float(x.grad[1000]) == pytest.approx(1)
    assert float(x.grad.max()) <= 1


def test_events():
    assert Event((1, 8, 8)).dims == 64
    assert Event((2,)).dims == 2
    assert sum_event(torch.ones(3, 2, 4)).tolist() == [8, 8, 8]


def test_preprocessing_is_initialised_with_all_data_and_a_learnt_map_with_a_part(monkeypatch):
    monkeypatch.setattr("flowbench.core.maps._INITIALISATION_NUMBERS", 20)
    standardise, actnorm = Standardise((2,)), ActNorm((2,))
    x = torch.arange(200.0).view(100, 2)
    z = FlowSequential(standardise, actnorm).initialise(x)
    torch.testing.assert_close(standardise.mean, x.mean(0))
    assert z.shape == (10, 2)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_arrays_are_scored_as_tensors_are(dtype):
    """An array comes to the model's dtype; a tensor is taken as it is."""
    model = FlowModel(Standardise((2,)), PRIORS["normal"]()).to(dtype)
    model.event_shape = (2,)
    x = np.random.default_rng(0).normal(size=(5, 2))
    expected = model.log_prob(torch.tensor(x, dtype=dtype))
    assert expected.dtype == dtype
    assert torch.equal(model.log_prob(x), expected)
    assert torch.equal(model.log_prob(x[::-1]), expected.flip(0))  # strides that a tensor cannot have
    with pytest.raises(ShapeError, match=r"expected events of shape \(2,\), got \(3,\)"):
        model.log_prob(np.zeros((5, 3)))
