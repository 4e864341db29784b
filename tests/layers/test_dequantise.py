import math

import pytest
import torch
from torch.distributions import Independent, Uniform

from flowbench.core import FlowModel, FlowSequential
from flowbench.evaluation.likelihood import likelihood, negative_log_likelihoods
from flowbench.layers.dequantise import Dequantise
from flowbench.runtime.seeding import seeded

LEVELS = pytest.mark.parametrize("levels", [2, 17, 256])


@LEVELS
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
def test_noise_fills_the_bin_of_each_level(levels, dtype):
    k = torch.arange(levels, dtype=dtype)[:, None].expand(levels, 50)
    with seeded(0):
        x, _ = Dequantise(levels).encode(k)
    assert x.dtype == torch.float32
    noise = x.double() * levels - k.double()
    assert noise.min() >= 0
    assert noise.max() < 1
    assert noise.mean() == pytest.approx(0.5, abs=0.1)


@LEVELS
def test_decode_gives_the_level_back(levels):
    k = torch.arange(levels)[:, None].expand(levels, 50)
    module = Dequantise(levels)
    with seeded(0):
        x, _ = module.encode(k)
    assert torch.equal(module.decode(x)[0], k.float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", [0.0, 2**-24, 2**-12, 0.5, 1 - 2**-12, 1 - 2**-23, 1 - 2**-24])
@pytest.mark.parametrize("levels", [1, 2, 3, 41, 49, 255, 256, 257, 1000, 65_535, 65_536, 2**20 - 1, 2**20])
def test_rounding_leaves_every_value_in_the_bin_of_its_level(monkeypatch, levels, noise, dtype):
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, noise))
    k = torch.arange(levels, dtype=dtype)[:, None]
    x, _ = Dequantise(levels).encode(k)
    assert torch.equal(Dequantise(levels).decode(x)[0], k)
    # The product is exact in float64 for a number of float32, so the bin is that of real arithmetic.
    bins = x.double() * levels
    assert ((k <= bins) & (bins < k + 1)).all()
    assert float(x.max()) < 1


def test_rounding_moves_no_value_that_is_in_its_bin():
    k = torch.arange(256)[:, None].expand(256, 100)
    with seeded(0):
        x, _ = Dequantise(256).encode(k)
    with seeded(0):
        plain = (k + torch.rand(k.shape)) / 256
    assert torch.equal(x, plain)


WRONG = {
    "too high": torch.tensor([[17]]),
    "too high in bytes": torch.tensor([[255]], dtype=torch.uint8),
    "negative": torch.tensor([[-1]]),
    "between levels": torch.tensor([[3.5]]),
    "not a number": torch.tensor([[math.nan]]),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_level_is_refused(kind, training):
    with pytest.raises(ValueError, match="expected whole grey levels from 0 to 16, got numbers from"):
        Dequantise(17).train(training).encode(WRONG[kind])


def test_levels_beyond_a_byte_are_not_compared_within_one():
    k = torch.full((1, 3), 255, dtype=torch.uint8)
    assert torch.equal(Dequantise(1000).decode(Dequantise(1000).encode(k)[0])[0], k.float())


@pytest.mark.parametrize("levels", [0, -3, 2**20 + 1])
def test_a_number_of_levels_that_float32_cannot_tell_apart_is_refused(levels):
    with pytest.raises(ValueError, match="expected 1 to 1,048,576 grey levels"):
        Dequantise(levels)


def test_decode_stays_within_the_levels():
    levels, _ = Dequantise(17).decode(torch.tensor([[-0.3, 0.0, 1.0, 1.2]]))
    assert levels.tolist() == [[0, 0, 16, 16]]


@pytest.mark.parametrize("shape", [(3,), (1, 8, 8)])
def test_log_determinant(shape):
    module, k = Dequantise(17), torch.zeros(4, *shape, dtype=torch.uint8)
    x, logdet = module.encode(k)
    expected = torch.full((4,), -math.prod(shape) * math.log(17))
    torch.testing.assert_close(logdet, expected)
    torch.testing.assert_close(module.decode(x)[1], -expected)


def test_noise_follows_the_seed_and_is_drawn_anew():
    module, k = Dequantise(17), torch.zeros(4, 3, dtype=torch.uint8)
    with seeded(0):
        first, second = module.encode(k)[0], module.encode(k)[0]
    with seeded(0):
        assert torch.equal(module.encode(k)[0], first)
    assert not torch.equal(first, second)


@LEVELS
@pytest.mark.parametrize("dims", [1, 5])
def test_a_uniform_model_has_log2_of_the_levels_bits_per_dim(levels, dims):
    # No constant is added by hand: the log-determinant is all there is.
    uniform = Independent(Uniform(torch.zeros(dims), torch.ones(dims), validate_args=False), 1)
    model = FlowModel(FlowSequential(), uniform, dequantise=Dequantise(levels))
    data = torch.randint(levels, (30, dims))
    nats = negative_log_likelihoods(model, data, draws=2, batch_size=10)
    assert likelihood(nats, dims)["bits_per_dim"] == pytest.approx(math.log2(levels), rel=1e-6)
