"""Which direction of a radial flow is the paper's map."""

import pytest
import torch

from flowbench import certificates, flows
from flowbench.core import Event, Inverse
from flowbench.layers.radial import Radial
from flowbench.runtime.seeding import seeded

PLANE = Event((2,), standardise=False)


@torch.no_grad()
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_the_direction_is_that_of_the_papers_map(direction):
    with seeded(0):
        model = certificates.randomised(flows.build("radial", PLANE, {"layers": 3, "direction": direction}))
        x = torch.randn(10, 2)
    assert [isinstance(layer, Inverse) for layer in model.transform.chain] == 3 * [direction == "decode"]
    layers = [part for part in model.modules() if isinstance(part, Radial)]
    y = x
    for layer in layers if direction == "encode" else reversed(layers):
        y, _ = layer.encode(y)
    torch.testing.assert_close(getattr(model, direction)(x)[0], y)


@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_both_directions_learn_from_data_and_from_an_energy(direction):
    """Neither needs a solver: gradients of a sample and of a density reach all parameters."""
    with seeded(0):
        model = certificates.randomised(flows.build("radial", PLANE, {"layers": 2, "direction": direction}))
        samples, log_prob = model.sample_with_log_prob(20)
    for loss in (model.loss(torch.randn(20, 2)), log_prob.mean() + samples.square().mean()):
        model.zero_grad()
        loss.backward()
        assert all(bool(parameter.grad.any()) for parameter in model.parameters())
