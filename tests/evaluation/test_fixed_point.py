"""What is measured of an inverse that is a fixed point."""

import torch
from torch.distributions import Independent, Normal

from flowbench.core import FlowModel, FlowSequential
from flowbench.evaluation.fixed_point import fixed_points
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.residual import Residual
from flowbench.metrics import METRICS
from flowbench.networks.lipschitz import LipschitzPerceptron
from flowbench.runtime.seeding import seeded


def flow(*slopes: float) -> FlowModel:
    """x + ax for each slope a, with a rescaling before each."""
    maps = []
    for slope in slopes:
        layer = Residual(LipschitzPerceptron(2, []))
        with torch.no_grad():
            layer.network.layers[0].weight.copy_(slope * torch.eye(2))
        maps += [ActNorm((2,)), layer]
    return FlowModel(FlowSequential(*maps), Independent(Normal(torch.zeros(2), torch.ones(2)), 1))


def measured(*slopes: float) -> dict[str, float]:
    with seeded(0):
        return fixed_points(flow(*slopes), 50)


def test_the_layer_that_needs_most_steps_counts():
    easy, hard, both = measured(0.1), measured(0.9), measured(0.9, 0.1)
    assert both.keys() <= METRICS.keys()
    # About ln(16 eps) over ln(slope), eps being that of float64.
    assert 10 <= easy["fixed_point_iterations"] <= 16
    assert 250 <= hard["fixed_point_iterations"] <= 320
    assert abs(both["fixed_point_iterations"] - hard["fixed_point_iterations"]) <= 20
    for values in (easy, hard, both):
        assert 0 <= values["fixed_point_error"] < 1e-12


def test_the_errors_are_those_of_the_solution():
    with seeded(0), torch.no_grad():
        model = flow(-0.875)
        z = model.prior().sample((50,)).double()
        x = model.double().transform.decode(z)[0]
        distance = ((x - z / 0.125).norm(dim=1) / (1 + z.norm(dim=1))).max()
    assert float(distance) <= measured(-0.875)["fixed_point_error"] + 1e-13
