"""What a residual flow says of its density, and the direction that is closed."""

import pytest
import torch

from flowbench import flows
from flowbench.config import ConfigError
from flowbench.core import Event, FlowModel, Inverse
from flowbench.evaluation.logdet import logdet
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.residual import Residual
from flowbench.networks.lipschitz import LipschitzError
from flowbench.runtime.seeding import seeded


def build(**options) -> FlowModel:
    with seeded(0):
        return flows.build("residual", Event((2,)), {"layers": 2, "hidden": [8], **options})


@pytest.mark.parametrize(
    ("estimate", "likelihood"), [("never", "exact"), ("training", "exact"), ("always", "estimate")]
)
@torch.no_grad()
def test_the_likelihood_is_called_what_it_is(estimate, likelihood):
    model, x = build(estimate=estimate).eval(), torch.randn(50, 2)
    assert model.likelihood == likelihood
    assert torch.equal(model.log_prob(x), model.log_prob(x)) == (likelihood == "exact")


def test_the_log_determinant_of_an_estimate_is_checked_without_its_noise():
    assert logdet(build(estimate="always").eval(), torch.randn(5, 2), 5)["logdet_error_max"] < 1e-10


@pytest.mark.parametrize(("closed_form", "kind"), [("encode", Residual), ("decode", Inverse)])
def test_a_rescaling_stands_before_each_map_and_after_the_last(closed_form, kind):
    maps = [type(layer) for layer in build(closed_form=closed_form).transform.chain[1:]]  # after the standardisation
    assert maps == [ActNorm, kind, ActNorm, kind, ActNorm]


def test_the_options_reach_each_layer():
    options = {"estimate": "always", "terms": 7, "continuation": 0.25, "max_iterations": 50}
    layers = [part for part in build(coefficient=0.5, **options).modules() if isinstance(part, Residual)]
    assert len(layers) == 2
    for layer in layers:
        assert {name: getattr(layer, name) for name in options} == options
        assert layer.network.coefficient == 0.5


@pytest.mark.parametrize(("option", "value"), [("coefficient", 1.0), ("continuation", 1.0), ("estimate", "sometimes")])
def test_a_wrong_option_is_refused(option, value):
    with pytest.raises(ConfigError, match=option):
        build(**{option: value})


def test_weights_that_are_not_finite_end_a_step_with_their_reason():
    model = build()
    layer = next(part for part in model.modules() if isinstance(part, Residual))
    with torch.no_grad():
        layer.network.layers[0].weight.fill_(torch.nan)
    with pytest.raises(LipschitzError, match="is lost"):
        model.loss(torch.randn(4, 2))
