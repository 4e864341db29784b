"""Couplings with a network for the scale and one for the shift, whose halves are changed in turn."""

import pytest
import torch
from torch import nn

from flowbench import config, flows
from flowbench.certificates import randomised
from flowbench.core import Event, FlowModel
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.checkerboard_coupling import CheckerboardCoupling
from flowbench.runtime.seeding import seeded

PLANE, IMAGES = Event((2,)), Event((1, 8, 8), levels=17)
FLOWS = {
    "realnvp": ("realnvp", PLANE, {"layers": 4, "hidden": [8]}),
    "realnvp of images": ("realnvp", IMAGES, {"architecture": "convolutional", "layers": 2, "hidden": [8]}),
    "realnvp at scales": ("realnvp", IMAGES, {"architecture": "multi-scale", "layers": 2, "hidden": [8], "scales": 2}),
    "glow": ("glow", PLANE, {"steps": 4, "hidden": [8], "alternate": True}),
    "glow at scales": ("glow", IMAGES, {"steps": 2, "hidden": [8], "scales": 2}),
}


def build(name: str, **options) -> FlowModel:
    flow, event, others = FLOWS[name]
    with seeded(0):
        return flows.build(flow, event, others | options)


def couplings(model: FlowModel) -> list[AffineCoupling | CheckerboardCoupling]:
    return [module for module in model.modules() if isinstance(module, AffineCoupling | CheckerboardCoupling)]


@pytest.mark.parametrize("name", FLOWS)
def test_scales_and_shifts_have_networks_of_their_own(name):
    model = randomised(build(name, networks="separate"))
    found = couplings(model)
    assert len(found) > 1
    for layer in found:
        first = next(part for part in layer.network.first.modules() if isinstance(part, nn.Linear | nn.Conv2d))
        x = (
            torch.randn(5, first.in_features)
            if isinstance(first, nn.Linear)
            else torch.randn(5, first.in_channels, 4, 4)
        )
        before = layer.network(x).chunk(2, 1)
        layer.network.second.load_state_dict(randomised(layer.network.second, seed=1).state_dict())
        scale, shift = layer.network(x).chunk(2, 1)
        assert torch.equal(scale, before[0])
        assert not torch.equal(shift, before[1])


@pytest.mark.parametrize("name", ["realnvp", "glow"])
def test_couplings_change_the_halves_in_turn(name):
    assert [layer.swap for layer in couplings(build(name))] == [False, True, False, True]


def test_glow_leaves_the_halves_to_its_linear_maps_unless_it_is_told():
    assert not any(layer.swap for layer in couplings(build("glow", alternate=False)))
    with pytest.raises(config.ConfigError, match="cannot alternate"):
        build("glow at scales", alternate=True)
