import math

import pytest
import torch
from torch.distributions import Independent, Normal

from flowbench.core import FlowModel
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.logit import LEAST_ALPHA, Logit
from flowbench.runtime.seeding import seeded


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 0.05)], ids=str)
@pytest.mark.parametrize("alpha", [0.4, 0.05, 1e-3, LEAST_ALPHA])
def test_the_ends_of_the_interval_are_finite(alpha, dtype, tolerance):
    ends = torch.tensor([[0.0], [1.0]], dtype=dtype)
    z, logdet = Logit(alpha).encode(ends)
    expected = torch.tensor([[-1.0], [1.0]], dtype=dtype) * math.log((1 - alpha) / alpha)
    torch.testing.assert_close(z, expected, atol=tolerance, rtol=0)
    slope = math.log((1 - 2 * alpha) / (alpha * (1 - alpha)))
    torch.testing.assert_close(logdet, torch.full((2,), slope, dtype=dtype), atol=tolerance, rtol=0)
    torch.testing.assert_close(Logit(alpha).decode(z)[0], ends)


def test_extreme_latents_have_finite_log_determinants():
    x, logdet = Logit(0.05).decode(torch.tensor([[-80.0], [80.0]]))
    assert x.isfinite().all()
    torch.testing.assert_close(logdet, torch.full((2,), -80 - math.log(0.9)))


@pytest.mark.parametrize("alpha", [0.0, 1e-10, 1e-8, 9.9e-7, 0.5, -1.0, math.nan])
def test_alpha_must_keep_the_logit_finite_in_float32(alpha):
    with pytest.raises(ValueError, match=f"at least 1e-06 and below 0.5, got {alpha}"):
        Logit(alpha)


ALPHA = 0.05
PRIOR = Independent(Normal(torch.tensor([0.5]), torch.tensor([2.0])), 1)


def test_density_in_data_space_integrates_to_one():
    model = FlowModel(Logit(ALPHA), PRIOR).double()
    # What the latent line becomes: a little more than the unit interval.
    low, high = -ALPHA / (1 - 2 * ALPHA), (1 - ALPHA) / (1 - 2 * ALPHA)
    x = low + (high - low) * (torch.arange(100_000, dtype=torch.float64)[:, None] + 0.5) / 100_000
    assert float(model.log_prob(x).exp().mean() * (high - low)) == pytest.approx(1, abs=1e-6)


def test_probabilities_of_the_levels_sum_to_the_mass_of_the_unit_interval():
    # Each level's probability is the mean density of its noisy values: nothing is divided or added by hand.
    levels, draws = 17, 4000
    model = FlowModel(Logit(ALPHA), PRIOR, dequantise=Dequantise(levels))
    with seeded(0):
        density = model.log_prob(torch.arange(levels).repeat_interleave(draws)[:, None]).exp()
    ends, _ = Logit(ALPHA).encode(torch.tensor([[0.0], [1.0]]))
    mass = PRIOR.base_dist.cdf(ends).diff(dim=0)
    assert float(density.mean() * levels) == pytest.approx(float(mass), rel=2e-3)
