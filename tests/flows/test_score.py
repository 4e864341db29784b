"""What score matching learns: the score, and the field that flow matching learns along the same diffusion."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from flowbench import flows
from flowbench.config import ConfigError
from flowbench.core import Event, Mixture
from flowbench.flows._paths import diffusion
from flowbench.flows.score import _FINEST, ScoreField, ScoreMatching, _schedule
from flowbench.networks.field import VectorField
from flowbench.runtime.seeding import seeded
from tests.flows.test_flow_matching import PLANE, GaussianField

MEAN, STD = 1.5, 0.5
EXACT = GaussianField("diffusion", 0.0, MEAN, STD)


class GaussianNetwork(VectorField):
    """The network of a `ScoreField` whose score is that of N(m, s²) on its way to N(0, 1), in each dimension."""

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        alpha, sigma, _ = _schedule(t.view(-1, 1))
        score = -(x - alpha * MEAN) / ((alpha * STD) ** 2 + sigma**2)
        return -(score + x) * (sigma**2 + _FINEST**2).sqrt() / alpha


def score_model(**options) -> ScoreMatching:
    return flows.build("score", PLANE, {"hidden": [32, 32], **options})


def data(n: int) -> Tensor:
    return MEAN + STD * torch.randn(n, 2)


def grid(t: float) -> Tensor:
    """Points where p_t has its mass, out to two standard deviations."""
    alpha, sigma, _ = _schedule(torch.tensor(t))
    line = alpha * MEAN + ((alpha * STD) ** 2 + sigma**2).sqrt() * torch.linspace(-2, 2, 9)
    return torch.cartesian_prod(line, line)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.7, 0.99, 1.0])
def test_the_velocity_is_that_of_the_probability_flow(t):
    """½ β (x + ∇log p), which for the score of a Gaussian is the velocity of its path in closed form."""
    field = ScoreField(GaussianNetwork())
    x, times = grid(t).double(), torch.tensor(t, dtype=torch.float64)
    alpha, sigma, rate = _schedule(times)
    score = -(x - alpha * MEAN) / ((alpha * STD) ** 2 + sigma**2)
    torch.testing.assert_close(field.score(times, x), score)
    torch.testing.assert_close(field(times, x), rate / alpha * (x + score), atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(field(times, x), EXACT(times, x), atol=1e-3, rtol=1e-3)  # whose cut-off is elsewhere


def test_quadratic_forms_are_those_of_autograd():
    with seeded(0):
        field = score_model().double().flow.field
        x, directions = torch.randn(7, 2).double(), torch.randn(3, 7, 2).double()
    times = torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    together = field.quadratic_forms(times, x, directions)
    for i, t in enumerate(times):
        one = slice(i, i + 1)
        velocity, forms = VectorField.quadratic_forms(field, t, x[one], directions[:, one])
        for found in (field.quadratic_forms(t, x[one], directions[:, one]), (together[0][one], together[1][:, one])):
            torch.testing.assert_close(found, (velocity, forms))


def test_a_network_of_zeros_is_a_standard_normal():
    model = score_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        x = torch.randn(20, 2)
        torch.testing.assert_close(model.log_prob(x), Normal(0, 1).log_prob(x).sum(1))
        torch.testing.assert_close(model.encode(x)[0], x)


def test_the_score_of_a_gaussian_reaches_the_least_loss():
    """E Var(ε | x_t) = E α²s² / (α²s² + σ²) over t, by quadrature: no score has less."""
    model = score_model()
    model.flow.field = ScoreField(GaussianNetwork())
    t = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    alpha, sigma, _ = _schedule(t)
    least = float(((alpha * STD) ** 2 / ((alpha * STD) ** 2 + sigma**2)).mean())
    with seeded(0):
        losses = torch.stack([model.loss(data(20_000)) for _ in range(20)])
    assert float(losses.mean()) == pytest.approx(least, abs=4 * float(losses.std()) / math.sqrt(20))


@torch.no_grad()
def test_the_exact_score_carries_the_data_to_where_its_diffusion_ends():
    """That is near a standard normal, but not there, since some data is left. The cut-off is too small to see."""
    model = score_model(tolerance=1e-7).double()
    model.flow.field = ScoreField(GaussianNetwork())
    with seeded(0):
        x = data(200).double()
    alpha, sigma, _ = _schedule(torch.zeros((), dtype=torch.float64))
    scale = ((alpha * STD) ** 2 + sigma**2).sqrt() / STD
    end = alpha * MEAN + scale * (x - MEAN)
    z, logdet = model.encode(x)
    torch.testing.assert_close(z, end, atol=1e-4, rtol=0)
    torch.testing.assert_close(logdet, (2 * scale.log()).expand(200), atol=1e-4, rtol=0)
    truth = Normal(MEAN, STD).log_prob(x).sum(1)
    assert (model.log_prob(x) - truth).mean().abs() < 0.01


@cache
@torch.enable_grad()
def trained(flow: str) -> VectorField:
    """The field that a flow learns from a Gaussian."""
    options = {"path": "diffusion"} if flow == "flow_matching" else {}
    with seeded(0):
        model = flows.build(flow, PLANE, {"hidden": [32, 32], **options})
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for step in range(1200):
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * (1 - step / 1200)
            optimiser.zero_grad()
            model.loss(data(512)).backward()
            optimiser.step()
    return model.flow.field


@torch.no_grad()
@pytest.mark.parametrize(
    "t",
    [
        pytest.param(0.2, marks=pytest.mark.slow),
        pytest.param(0.5, marks=pytest.mark.slow),
        pytest.param(0.8, marks=pytest.mark.slow),
        0.95,
    ],
)
def test_score_and_flow_matching_learn_the_same_field(t):
    """In closed form, and as each other's.

    The velocity is ½ β (x + score). Next to the noise both terms cancel, and the weight of score matching hardly looks
    at what is left: there the scores are compared alone.
    """
    x, times = grid(t), torch.tensor(t)
    alpha, sigma, rate = _schedule(times)
    exact = EXACT(times, x)
    fields = {flow: trained(flow)(times, x) for flow in ("score", "flow_matching")}
    # Flow matching gives a score as well, by the same equation.
    scores = {flow: field * alpha / rate - x for flow, field in fields.items()}
    torch.testing.assert_close(scores["score"], trained("score").score(times, x), atol=1e-4, rtol=1e-4)
    exact_score = -(x - alpha * MEAN) / ((alpha * STD) ** 2 + sigma**2)
    for found, expected in [(scores, exact_score)] + [(fields, exact)] * (t >= 0.5):
        most = 0.02 * expected.square().mean()
        assert all((one - expected).square().mean() < most for one in found.values())
        assert (found["score"] - found["flow_matching"]).square().mean() < most


def test_the_loss_is_of_points_on_the_diffusion():
    """All of x₁ in one place: the noise of a point on the path is known, and so is the loss of a network of zeros."""
    model = score_model()
    place = torch.full((4000, 2), 3.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    t = (torch.arange(4000) + 0.5)[:, None] / 4000
    with seeded(0):
        loss = float(model.loss(place).detach())
        noise = torch.randn(4000, 2)
    x, _ = diffusion(noise, place, t, 0.0)
    _, sigma, _ = _schedule(t)
    assert loss == pytest.approx(float((sigma * x - noise).square().mean()), rel=0.03)


def test_a_transport_is_refused():
    event = Event((2,), standardise=False, start=Mixture(centres=((-5.0, -5.0), (5.0, 5.0)), std=0.1))
    with pytest.raises(ConfigError, match="a diffusion leads to normal noise"):
        flows.build("score", event, {"hidden": [8]})
