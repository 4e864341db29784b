"""Measures of models without a density, of a model whose errors are known."""

import math

import pytest
import torch

from flowbench.core import FlowModule, Generator
from flowbench.evaluation.autoencoder import autoencoder
from flowbench.evaluation.speed import speed
from flowbench.flows._priors import standard_normal
from flowbench.metrics import METRICS
from flowbench.runtime.seeding import seeded


class Doubled(FlowModule):
    """z = 2 x, but that decode is off by ``error``."""

    def __init__(self, error: float = 0.0):
        super().__init__()
        self.error = error

    def encode(self, x):
        return 2 * x, x.new_full((len(x),), 4 * math.log(2))

    def decode(self, z):
        return z / 2 + self.error, z.new_full((len(z),), -4 * math.log(2))


def model(error: float = 0.0) -> Generator:
    return Generator(Doubled(error), standard_normal(4))


@pytest.mark.parametrize("batch_size", [1000, 7])
def test_errors_of_reconstructions_and_bits_of_latents(batch_size):
    with seeded(0):
        x = torch.randn(100, 4)
    measured = autoencoder(model(0.1), x, batch_size)
    nats = -torch.distributions.Normal(0, 0.5).log_prob(x.double()).sum(1).mean()
    assert measured == pytest.approx(
        {
            "reconstruction_error": 0.01,
            "psnr": 20.0,
            "latent_bits_per_dim": float(nats) / (4 * math.log(2)),
        },
        rel=1e-5,
    )
    assert set(measured) <= set(METRICS)


def test_what_comes_back_exactly_has_no_noise():
    measured = autoencoder(model(), torch.ones(3, 4), 10)
    assert measured["reconstruction_error"] == 0
    assert measured["psnr"] == math.inf


def test_errors_are_of_the_mean_over_all_examples():
    class Twice(Generator):
        def reconstruct(self, x):
            return x, 2 * x

    twice = Twice(Doubled(), standard_normal(4))
    measured = autoencoder(twice, torch.tensor([0.0, 1.0, 1.0])[:, None].expand(3, 4), 2)
    assert measured["reconstruction_error"] == pytest.approx(2 / 3)


def test_no_density_is_timed():
    assert set(speed(model(), torch.randn(10, 4), 1e-6, 10)) == {"sample_samples_per_second"}
