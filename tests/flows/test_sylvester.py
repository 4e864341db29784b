"""The options of a Sylvester flow, and that it learns what a planar flow of as many layers cannot."""

import math

import pytest
import torch

from flowbench import certificates, flows
from flowbench.config import ConfigError
from flowbench.core import Event, Inverse
from flowbench.layers.sylvester import Sylvester
from flowbench.runtime.seeding import seeded

EVENT = Event((3,), standardise=False)


@pytest.mark.parametrize("closed_form", ["encode", "decode"])
@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"reflections": 2}], ids=str)
def test_the_closed_direction_solves_nothing(closed_form, options, monkeypatch):
    with seeded(0):
        model = flows.build("sylvester", EVENT, {"layers": 2, "closed_form": closed_form, **options})
        model = certificates.randomised(model)
    assert [isinstance(layer, Inverse) for layer in model.transform.chain] == 2 * [closed_form == "decode"]
    assert certificates.passes(certificates.certify(model.transform, (3,), points=3))
    monkeypatch.delattr("flowbench.layers.sylvester.preimage")
    other = "decode" if closed_form == "encode" else "encode"
    getattr(model, closed_form)(torch.randn(5, 3))
    with pytest.raises(NameError, match="preimage"):
        getattr(model, other)(torch.randn(5, 3))


def test_a_rank_above_the_dimensions_is_refused():
    with pytest.raises(ConfigError, match="expected a rank between 1 and 3, got 4"):
        flows.build("sylvester", EVENT, {"closed_form": "encode", "rank": 4})


def test_maps_have_the_rank_and_the_reflections_that_are_asked_for():
    model = flows.build("sylvester", EVENT, {"closed_form": "encode", "rank": 2, "reflections": 5})
    (layer, *_) = [part for part in model.modules() if isinstance(part, Sylvester)]
    assert layer.directions.shape == (5, 3)
    assert layer.slope.shape == (2,)


@pytest.mark.parametrize("options", [{}, {"reflections": 2}], ids=str)
def test_one_layer_parts_four_modes(options):
    """A map of rank two parts two directions at once. A planar map parts one."""

    def trained(flow: str, options: dict) -> float:
        with seeded(0):
            model = flows.build(flow, Event((2,), standardise=False), {"layers": 1, "closed_form": "encode", **options})
            optimiser = torch.optim.Adam(model.parameters(), 0.02)
            for _ in range(400):
                optimiser.zero_grad()
                model.loss(corners(256)).backward()
                optimiser.step()
            with torch.no_grad():
                return float(model.loss(corners(5000)))

    def corners(n: int) -> torch.Tensor:
        return 2 * (torch.randint(2, (n, 2)) * 2 - 1) + 0.5 * torch.randn(n, 2)

    assert trained("sylvester", options) < trained("planar", {}) - 0.25 * math.log(2)
