"""Round trips where flows are not at home, against maps whose errors are known."""

import math

import pytest
import torch
from torch import Tensor

from flowbench.core import FlowModel, FlowModule, SolverError
from flowbench.evaluation.consistency import consistency
from flowbench.evaluation.stress import stress
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.metrics import LATENT_STDS, METRICS
from flowbench.runtime.seeding import seeded

TEST = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))


class Leaky(FlowModule):
    """Loses what lies beyond 6, and comes back ``off`` from where it was."""

    def __init__(self, off: float):
        super().__init__()
        self.off = off

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.masked_fill(x.abs() > 6, math.nan), x.new_zeros(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.masked_fill(z.abs() > 6, math.nan) + self.off, z.new_zeros(len(z))


def stressed(module: FlowModule) -> dict[str, float]:
    with seeded(1):
        return stress(FlowModel(module, standard_normal(4)), TEST, 400, batch_size=150)


def test_every_name_is_a_metric():
    model = FlowModel(ElementwiseAffine((4,)), standard_normal(4))
    found = stressed(ElementwiseAffine((4,))) | consistency(model, TEST, 50, batch_size=20)
    assert found.keys() <= METRICS.keys()
    assert {name for name in METRICS if name.startswith("l2_error_")} <= found.keys()


def test_an_exact_map_comes_back_from_everywhere():
    for name, value in stressed(ElementwiseAffine((4,))).items():
        assert value < 1e-5, name


def test_errors_are_the_lengths_of_what_an_example_misses():
    found = stressed(Leaky(0.25))
    for start in ("data", "samples", "noise", "latents_1_std"):
        assert found[f"l2_error_{start}"] == pytest.approx(0.5, rel=1e-5)  # of four features 0.25 each
        assert found[f"lost_share_{start}"] == 0


def test_what_is_lost_is_counted_and_grows_with_the_deviation():
    found = stressed(Leaky(0.0))
    shares = [found[f"lost_share_latents_{k}_std"] for k in LATENT_STDS]
    # Of four normal features of deviation k, at least one beyond 6.
    wanted = [1 - math.erf(6 / (k * math.sqrt(2))) ** 4 for k in LATENT_STDS]
    assert shares == pytest.approx(wanted, abs=0.07)
    assert shares == sorted(shares)
    assert found["l2_error_latents_5_std"] == 0


class Brittle(Leaky):
    """A solver in which one example that cannot be followed stops all."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if (x.abs() > 6).any():
            raise SolverError("too far")
        return super().encode(x)


def test_an_example_that_stops_a_solver_is_lost_alone():
    brittle, leaky = stressed(Brittle(0.0)), stressed(Leaky(0.0))
    assert 0 < leaky["lost_share_latents_3_std"] < 0.5
    assert brittle == leaky


class Slanted(ElementwiseAffine):
    """Its decoding tells a log-determinant that is ``wrong`` by so many nats."""

    wrong = 0.0

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, logdet = super().decode(z)
        return x, logdet + self.wrong


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_densities_of_samples_agree_from_both_sides(wrong):
    module = Slanted((4,))
    module.wrong = wrong
    with torch.no_grad():
        module.shift.normal_()
        module.log_scale.normal_()
    found = consistency(FlowModel(module, standard_normal(4)), TEST, 50, batch_size=20)
    assert found["sample_log_prob_error_max"] == pytest.approx(wrong / (4 * math.log(2)), abs=1e-12)
    assert 0 < found["log_prob_error_max"] < 1e-5


def test_a_density_that_is_not_finite_is_infinitely_far():
    found = consistency(FlowModel(Leaky(0.0), standard_normal(4)), 10 * TEST, 50, batch_size=20)
    assert found["log_prob_error_max"] == math.inf
