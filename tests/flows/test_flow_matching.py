"""What flow matching regresses on, and that its optimum is the right field."""

import math

import pytest
import torch
from torch import Tensor

from flowbench import flows
from flowbench.config import ConfigError
from flowbench.core import Event, Mixture
from flowbench.flows._paths import PATHS, spread_times
from flowbench.networks.field import VectorField
from flowbench.runtime.seeding import seeded

PLANE = Event((2,), standardise=False)


class GaussianField(VectorField):
    """The velocity E[u_t | x_t = x] that carries N(0, 1) to N(m, s²) along x_t = a x₁ + b x₀, in each dimension."""

    def __init__(self, path: str, sigma: float, mean: float, std: float):
        super().__init__()
        self.path, self.sigma, self.mean, self.std = path, sigma, mean, std

    def coefficients(self, t: Tensor) -> tuple[Tensor, ...]:
        """a, b and their derivatives: the path of x₁ = 1, x₀ = 0 and the other way round."""
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        (a, a_rate), (b, b_rate) = (PATHS[self.path](*ends, t, 0.0) for ends in ((zero, one), (one, zero)))
        if self.path == "conditional":
            b, b_rate = b + self.sigma * t, b_rate + self.sigma * one
        return a, b, a_rate, b_rate

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        t = t.view(-1, 1)
        a, b, a_rate, b_rate = self.coefficients(t)
        tube = self.sigma**2 if self.path == "linear" else 0.0
        covariance = a * a_rate * self.std**2 + b * b_rate
        variance = (a * self.std) ** 2 + b**2 + tube
        return a_rate * self.mean + covariance / variance * (x - a * self.mean)

    def least_loss(self) -> float:
        """E Var(u_t | x_t) over t, by quadrature: no field has less."""
        t = (torch.arange(200_000, dtype=torch.float64) + 0.5).view(-1, 1) / 200_000
        a, b, a_rate, b_rate = self.coefficients(t)
        tube = self.sigma**2 if self.path == "linear" else 0.0
        covariance = a * a_rate * self.std**2 + b * b_rate
        variance = (a * self.std) ** 2 + b**2 + tube
        return float(((a_rate * self.std) ** 2 + b_rate**2 - covariance**2 / variance).mean())


def matching(path: str, sigma: float = 0.0, **options):
    return flows.build("flow_matching", PLANE, {"path": path, "sigma": sigma, "hidden": [64, 64], **options})


KINDS = [("conditional", 0.1), ("linear", 0.0), ("linear", 0.3), ("diffusion", 0.0)]


@pytest.mark.parametrize(("path", "sigma"), KINDS)
def test_the_velocity_is_the_derivative_of_the_path(path, sigma):
    x0, x1, t = torch.randn(3, 20, 2, dtype=torch.float64).unbind()
    t = 0.05 + 0.9 * torch.rand(20, 1, dtype=torch.float64)
    with seeded(0):
        x, velocity = PATHS[path](x0, x1, t, sigma)
    step = 1e-6
    with seeded(0):
        later, _ = PATHS[path](x0, x1, t + step, sigma)
    torch.testing.assert_close((later - x) / step, velocity, atol=1e-4, rtol=1e-4)


def test_times_are_spread_evenly():
    with seeded(0):
        one, other = (spread_times(10, torch.device("cpu")) for _ in range(2))
    for times in (one, other):
        assert ((times >= 0) & (times < 1)).all()
        torch.testing.assert_close(times.sort().values.diff(), torch.full((9,), 0.1))
    assert not torch.allclose(one.sort().values, other.sort().values)


@pytest.mark.parametrize(("path", "sigma"), KINDS)
def test_paths_lead_from_noise_to_data(path, sigma):
    x0, x1 = torch.randn(2, 1000, 2).unbind()
    start, _ = PATHS[path](x0, x1, torch.zeros(1000, 1), sigma)
    end, _ = PATHS[path](x0, x1, torch.ones(1000, 1), sigma)
    # The diffusion only comes near its noise; the tube has its width at the ends too.
    torch.testing.assert_close(start, x0, atol=max(6 * sigma * (path == "linear"), 0.05), rtol=0)
    torch.testing.assert_close(end, x1, atol=max(6 * sigma, 0.01), rtol=0)


@pytest.mark.parametrize(("path", "sigma"), KINDS)
def test_the_field_of_a_gaussian_reaches_the_least_loss(path, sigma):
    model = matching(path, sigma)
    exact = GaussianField(path, sigma, mean=1.5, std=0.5)
    model.flow.field = exact
    with seeded(0):
        losses = torch.stack([model.loss(1.5 + 0.5 * torch.randn(20_000, 2)) for _ in range(20)])
    error = float(losses.std()) / math.sqrt(20)
    assert float(losses.mean()) == pytest.approx(exact.least_loss(), abs=4 * error + 1e-3)


@pytest.mark.parametrize(("path", "sigma"), KINDS)
def test_training_finds_the_field_of_a_gaussian(path, sigma):
    with seeded(0):
        model = matching(path, sigma)
        exact = GaussianField(path, sigma, mean=1.5, std=0.5)
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        for step in range(600):
            for group in optimiser.param_groups:
                group["lr"] = 0.01 * (1 - step / 600)
            optimiser.zero_grad()
            model.loss(1.5 + 0.5 * torch.randn(512, 2)).backward()
            optimiser.step()
        x1, x0, t = 1.5 + 0.5 * torch.randn(4000, 2), torch.randn(4000, 2), torch.rand(4000, 1)
        x, _ = PATHS[path](x0, x1, t, sigma)
        with torch.no_grad():
            found, wanted = model.flow.field(t[:, 0], x), exact(t[:, 0], x)
            samples = model.sample(4000)
    # The diffusion's velocity has no bound as t nears 1, so the worst times are left out.
    inner = t[:, 0] < 0.95
    excess = (found - wanted)[inner].square().mean()
    assert excess < 0.02 * wanted[inner].square().mean()
    assert float(samples.mean()) == pytest.approx(1.5, abs=0.06)
    assert float(samples.std(0).mean()) == pytest.approx(math.hypot(0.5, sigma if path != "diffusion" else 0), abs=0.06)


def test_optimal_transport_couples_straight_paths():
    """Of the pairs of a plan, no two cross: the loss of the zero field, the mean squared distance, is the least."""
    model = matching("linear", coupling="optimal-transport", coupled_at_once=64)
    loose = matching("linear")
    zero = GaussianField("linear", 0.0, 0.0, 1.0)
    zero.forward = lambda t, x: torch.zeros_like(x)
    data = 3 + torch.randn(256, 2)
    for one in (model, loose):
        one.flow.field = zero
    with seeded(0):
        coupled = model.loss(data)
    with seeded(0):
        independent = loose.loss(data)
    assert coupled < 0.95 * independent


def test_a_transport_starts_where_the_data_set_says():
    corners = Mixture(centres=((-5.0, -5.0), (5.0, 5.0)), std=0.1)
    event = Event((2,), standardise=False, start=corners)
    model = flows.build("flow_matching", event, {"hidden": [8]})
    starts = model.start(model.prior().sample((200,)))
    assert ((starts.abs() - 5).abs() < 0.6).all()
    assert torch.equal(starts[:, 0] > 0, starts[:, 1] > 0)
    with pytest.raises(ConfigError, match="the data set says where its transport starts"):
        flows.build("glow", event, {"hidden": [8], "prior": "mixture"})
    for flow in ("maf", "made"):
        with pytest.raises(ConfigError, match="starts, so components: 3 cannot be chosen"):
            flows.build(flow, event, {"hidden": [8], "components": 3})


def test_images_have_a_u_net():
    event = Event((1, 8, 8), levels=17)
    model = flows.build("flow_matching", event, {"architecture": "unet", "channels": 8, "multipliers": [1, 2]})
    batch = torch.randint(17, (4, 1, 8, 8))
    loss = model.loss(batch)
    assert loss.item() == pytest.approx(1 + 1 / 3, abs=0.6)  # of the zero field: E|x₁ - x₀|² per pixel
    loss.backward()
    with torch.no_grad():
        assert model.sample(3).shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    "options",
    [{"architecture": "unet", "hidden": [8], "multipliers": [1]}, {"architecture": "unet"}, {"multipliers": [1]}, {}],
    ids=str,
)
def test_each_architecture_has_its_own_options(options):
    with pytest.raises(ConfigError, match="hidden is for architecture vector"):
        flows.build("flow_matching", Event((1, 8, 8), levels=17), options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "diffusion", "sigma": 0.5}, "sigma is the width of"),
        ({"coupled_at_once": 64}, "coupled_at_once is for coupling optimal-transport"),
    ],
    ids=str,
)
def test_options_without_an_effect_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        flows.build("flow_matching", Event((2,)), {"hidden": [8], **options})


@pytest.mark.parametrize("flow", ["cnf", "flow_matching", "score"])
def test_a_single_probe_is_refused(flow):
    with pytest.raises(ConfigError, match=r"probes = 1: .* greater than or equal to 2"):
        flows.check(flow, {"hidden": [8], "probes": 1}, f"flows.{flow}.plane")


@pytest.mark.parametrize("flow", ["cnf", "flow_matching", "score"])
def test_a_field_without_hidden_layers_is_refused(flow):
    with pytest.raises(ConfigError, match=rf"flows\.{flow}\.plane\.hidden = \[\]: list should have at least 1"):
        flows.build(flow, PLANE, {"hidden": []}, f"params.yaml: flows.{flow}.plane")


@pytest.mark.parametrize("flow", ["cnf", "flow_matching", "score"])
def test_a_tolerance_below_zero_is_refused(flow):
    with pytest.raises(ConfigError, match=rf"flows\.{flow}\.plane\.tolerance = -0.1: .* greater than or equal to 0"):
        flows.check(flow, {"hidden": [8], "tolerance": -0.1}, f"params.yaml: flows.{flow}.plane")
