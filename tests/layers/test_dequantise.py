import math

import pytest
import torch
from torch.distributions import Independent, Uniform

from flowbench.core import FlowModel, FlowSequential
from flowbench.evaluation.likelihood import likelihood
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
    assert noise.max() <= 1
    assert noise.mean() == pytest.approx(0.5, abs=0.1)
    assert x.min() >= 0
    assert x.max() <= 1


@LEVELS
def test_decode_gives_the_level_back(levels):
    k = torch.arange(levels)[:, None].expand(levels, 50)
    module = Dequantise(levels)
    with seeded(0):
        x, _ = module.encode(k)
    assert torch.equal(module.decode(x)[0], k.float())


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
    assert likelihood(model, data, draws=2, batch_size=10)["bits_per_dim"] == pytest.approx(math.log2(levels), rel=1e-6)
