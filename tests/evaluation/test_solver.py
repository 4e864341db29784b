"""What is measured of a solver."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from flowbench import flows
from flowbench.certificates import randomised
from flowbench.core import Event, SolverError
from flowbench.evaluation.consistency import consistency
from flowbench.evaluation.logdet import logdet
from flowbench.evaluation.solver import divergence, few_steps, solver
from flowbench.flows._continuous import ContinuousModel
from flowbench.layers.continuous import ContinuousFlow
from flowbench.metrics import FEW_EVALUATIONS, METRICS
from flowbench.networks.field import VectorField
from flowbench.runtime.seeding import seeded


class Curl(VectorField):
    """A rotation by so many radians: no straight way leads to its end, so few steps go astray."""

    def __init__(self, angle: float):
        super().__init__()
        self.angle = nn.Parameter(torch.tensor(angle))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.angle * torch.stack((-x[..., 1], x[..., 0]), -1)


def rotation(tolerance: float = 1e-5, probes: int | None = None, angle: float = 3.0) -> ContinuousModel:
    prior = Independent(Normal(torch.tensor([3.0, 0.0]), torch.tensor([0.2, 0.2])), 1)
    return ContinuousModel([], ContinuousFlow(Curl(angle), tolerance=tolerance, probes=probes), [], prior, None)


def cnf(scale: float = 3.0, **options) -> ContinuousModel:
    with seeded(0):
        event = Event((1, 2, 2), levels=17)
        return randomised(flows.build("cnf", event, {"hidden": [16], "logit": 0.05, **options}), scale=scale)


DATA = torch.randint(17, (64, 1, 2, 2), generator=torch.Generator().manual_seed(0)).float()


def measured(model: ContinuousModel, data: Tensor = DATA) -> dict[str, float]:
    with seeded(0):
        return solver(model, data, 64)


def test_every_name_is_a_metric():
    # As images are stored.
    values = measured(cnf(probes=2)) | few_steps(cnf(), DATA.byte(), 64) | divergence(cnf(probes=2), DATA.byte())
    assert values.keys() <= METRICS.keys()


def test_a_tighter_tolerance_costs_more_and_errs_less():
    loose, tight = measured(cnf(tolerance=1e-2)), measured(cnf(tolerance=1e-6))
    assert loose["solver_tolerance"] == 1e-2
    for evaluations in ("log_prob_evaluations", "sample_evaluations"):
        assert loose[evaluations] < tight[evaluations]
    for error in ("bits_per_dim_solver_error", "invertibility_error_max_tightened"):
        assert loose[error] > 10 * tight[error] >= 0
    assert loose["bits_per_dim_solver_error"] > 0


def test_the_error_is_that_against_a_tenth_of_the_tolerance():
    model = rotation(tolerance=1e-2)
    data = torch.randn(64, 2) * 0.2 + torch.tensor([-3.0, 0.5])
    values = measured(model, data)
    tight = copy.deepcopy(model).double()
    tight.flow.tolerance = 1e-3
    with torch.no_grad():
        change = model.log_prob(data).double() - tight.log_prob(data.double())
    assert values["bits_per_dim_solver_error"] == pytest.approx(
        float(change.mean().abs()) / (2 * torch.log(torch.tensor(2.0)).item()), rel=1e-5
    )
    assert model.flow.tolerance == 1e-2


def test_probes_are_counted_and_their_spread_is_that_of_single_ones():
    exact, two, many = measured(cnf()), measured(cnf(probes=2)), measured(cnf(probes=50))
    assert "probes" not in exact
    assert "bits_per_dim_probe_std" not in exact
    assert (two["probes"], many["probes"]) == (2, 50)
    few = measured(cnf(probes=4))["bits_per_dim_probe_std"]
    assert many["bits_per_dim_probe_std"] == pytest.approx(few, rel=0.5)
    # The probes' noise is no error of the solver.
    assert two["bits_per_dim_solver_error"] < 0.01 * many["bits_per_dim_probe_std"]


class Inconsistent(Curl):
    """Its products with the Jacobian, of the trace 0, are off by a little."""

    def quadratic_forms(self, t: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        velocity, products = super().quadratic_forms(t, x, directions)
        return velocity, products + self.wrong


def unet(probes: int) -> ContinuousModel:
    with seeded(0):
        event = Event((1, 4, 4), levels=256)
        options = {"architecture": "unet", "channels": 8, "multipliers": [1, 2], "attention": [2], "probes": probes}
        return randomised(flows.build("flow_matching", event, options), scale=3.0)


@pytest.mark.parametrize(("model", "shape"), [(cnf, (1, 2, 2)), (unet, (1, 4, 4))])
def test_what_probes_estimate_is_the_trace_that_forward_mode_finds(model, shape):
    with seeded(0):
        assert 0 < divergence(model(probes=2), torch.randint(17, (4, *shape)).byte())["divergence_error_max"] < 1e-10


@pytest.mark.parametrize(("wrong", "error"), [(0.0, 0.0), (0.1, 0.2), (math.nan, math.inf)])
def test_a_divergence_that_is_off_shows(wrong, error):
    model = rotation(probes=2)
    model.flow.field = Inconsistent(3.0)
    model.flow.field.wrong = wrong
    assert divergence(model, torch.randn(3, 2))["divergence_error_max"] == pytest.approx(error, abs=1e-12)


def test_log_determinants_are_those_of_the_exact_divergence_and_stay_near_autograds():
    model = cnf(probes=2, tolerance=1e-6)
    with seeded(0):
        assert 0 < logdet(model, DATA, 3)["logdet_error_max"] < 1e-4
    assert model.flow.probes == 2


def test_densities_are_estimated_with_the_same_probes_by_both_ways():
    model = cnf(scale=1.0, probes=2, tolerance=1e-6)
    with seeded(0):
        values = consistency(model, DATA, 20, batch_size=8)
    assert 0 < values["sample_log_prob_error_max"] < 1e-4
    assert 0 < values["log_prob_error_max"] < 1e-4
    assert measured(model)["bits_per_dim_probe_std"] > 1e-2


def test_samples_of_few_steps_come_nearer_with_more_and_midpoint_steps_sooner():
    model = rotation()
    data = model.sample(1000, torch.Generator().manual_seed(1))
    with seeded(0):
        values = few_steps(model, data, 500)
    assert len(values) == 2 + 2 * len(FEW_EVALUATIONS)
    for method in ("euler", "midpoint"):
        distances = [values[f"energy_distance_{method}_{n}"] for n in FEW_EVALUATIONS]
        assert distances[0] > 5 * distances[-1]
    assert values["energy_distance_midpoint_8"] < 0.5 * values["energy_distance_euler_8"]
    assert values["energy_distance_midpoint_64"] == pytest.approx(values["energy_distance_adaptive"], abs=2e-3)
    # The model is the truth, and its samples no nearer to data than other data is.
    assert values["energy_distance_adaptive"] == pytest.approx(values["energy_distance_data"], abs=2e-3)
    assert values["energy_distance_data"] > 0


def test_a_solver_that_gives_up_says_so():
    with pytest.raises(SolverError, match="max_evaluations = 10 "):
        measured(cnf(max_evaluations=10))
