import pytest
import torch

from flowbench.core import FlowSequential, ResolutionError, ShapeError
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.standardise import Standardise
from flowbench.runtime.seeding import seeded


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


@pytest.mark.parametrize("make", [ActNorm, Standardise])
@pytest.mark.parametrize("shape", [(3,), (3, 4, 2)])
def test_initialisation_gives_zero_mean_and_unit_variance(make, shape):
    x = 5 + 3 * torch.randn(100, *shape) * torch.arange(1.0, 4).view(3, *[1] * (len(shape) - 1))
    module = make(shape)
    z = module.initialise(x)
    assert torch.equal(z, module.encode(x)[0])
    # ActNorm shares its parameters among the positions of a channel.
    features = z.transpose(0, 1).flatten(1).T if make is ActNorm else z.flatten(1)
    torch.testing.assert_close(features.mean(0), torch.zeros(features.shape[1]), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.std(0, unbiased=False), torch.ones(features.shape[1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", [ActNorm, Standardise])
def test_a_constant_feature_is_centred_and_not_scaled(make):
    x = torch.stack([torch.randn(50), torch.full((50,), 7.0)], 1)
    module = make((2,))
    z = module.initialise(x)
    assert z.isfinite().all()
    assert not z[:, 1].any()
    torch.testing.assert_close(module.encode(x + 1)[0][:, 1], torch.ones(50))


@pytest.mark.parametrize("make", [ActNorm, Standardise])
@pytest.mark.parametrize("std", [1e30, 1e6, 5e-7, 1e-8, 1e-20, 1e-30])
def test_the_unit_of_the_data_does_not_matter(make, std):
    x = std * (3 + torch.randn(500, 2))
    module = make((2,))
    z = module.initialise(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(module.decode(z)[0], x, atol=1e-5 * std, rtol=0)


@pytest.mark.parametrize("make", [ActNorm, Standardise])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e9, 1e-30, 1e-42])
def test_a_constant_of_any_size_is_not_scaled(make, dtype, value):
    module = make((1,))
    module.initialise(torch.full((999, 1), value, dtype=dtype))
    assert not module.state_dict()["log_std" if make is Standardise else "log_scale"].any()


def test_what_only_rounding_spreads_is_a_constant_to_actnorm():
    x = 7 + 7 * torch.finfo(torch.float32).eps * torch.randint(2, (100, 1)).float()
    assert len(x.unique()) == 2
    module = ActNorm((1,))
    assert module.initialise(x).abs().max() < 1e-5
    assert not module.log_scale.any()


def test_data_that_float32_cannot_resolve_is_refused():
    x = torch.stack([torch.randn(1000), 1e7 + 0.5 * torch.randn(1000)], 1)
    with pytest.raises(ResolutionError, match=r"^feature 1 has a standard deviation of 0\.5\d* about 1e\+07, where"):
        Standardise((2,)).initialise(x)
    shifted = 1e7 + 0.5 * torch.randn(1000, 2, dtype=torch.float64)
    z = Standardise((2,)).double().initialise(shifted)
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("make", [ActNorm, Standardise])
def test_a_batch_of_one_gives_no_nan(make):
    x = torch.randn(1, 3)
    module = make((3,))
    assert not module.initialise(x).any()
    assert module.check(torch.randn(4, 3)).round_trip_error < 1e-12


def test_each_layer_of_a_chain_is_initialised_by_what_reaches_it():
    x = 2 + 3 * torch.randn(200, 2)
    chain = FlowSequential(ActNorm((2,)), ElementwiseAffine((2,)), ActNorm((2,)))
    with torch.no_grad():
        chain.chain[1].shift.fill_(-4)
    z = chain.initialise(x)
    torch.testing.assert_close(chain.chain[2].bias.detach(), torch.full((2,), -4.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std(0, unbiased=False), torch.ones(2), atol=1e-4, rtol=0)


def test_standardise_keeps_its_moments_in_a_checkpoint_and_learns_nothing():
    module = Standardise((3,))
    module.initialise(torch.randn(20, 3) + 5)
    assert set(module.state_dict()) == {"mean", "log_std"}
    assert list(module.parameters()) == []


def test_a_wrong_number_of_channels_is_an_error():
    with pytest.raises(ShapeError, match=r"expected events of shape \(3,\), got"):
        ActNorm((3,)).initialise(torch.randn(5, 2))
