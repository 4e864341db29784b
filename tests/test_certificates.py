"""What there is to certify. That wrong maps do not pass is tested beside the layers."""

from pathlib import Path

import pytest
import torch

from flowbench import certificates, config, flows
from flowbench.core import Check, FlowModule, FlowSequential
from flowbench.layers.logit import Logit
from flowbench.layers.rescaling import Rescaling

PARAMS = config.load(Path(__file__).parents[1] / "params.yaml")
BASELINES = {"gaussian", "gaussian_mixture"}


def test_every_flow_in_every_configuration_is_a_subject():
    subjects = list(certificates.subjects(PARAMS))
    assert [str(module) for _, module, _ in subjects if isinstance(module, Exception)] == []
    found = {name.partition(" on ")[0] for name, _, _ in subjects if "/" in name}
    known = {f"{flow}/{configuration}" for flow, those in PARAMS.flows.items() for configuration in those}
    assert found == {name for name in known if name.partition("/")[0] not in BASELINES}
    assert {name.partition("/")[0] for name in found} == set(flows.names()) - BASELINES
    # A map of vectors takes both kinds of events; one with a logit or a convolution takes images alone.
    names = {name for name, _, _ in subjects}
    assert names >= {"realnvp/plane on vectors", "realnvp/plane on images", "realnvp/digits on images"}
    assert not names & {"realnvp/digits on vectors", "glow/image on vectors"}


def test_one_flow_alone():
    names = [name for name, _, _ in certificates.subjects(PARAMS, "glow")]
    assert {name.partition(" on ")[0] for name in names} == {f"glow/{name}" for name in PARAMS.flows["glow"]}
    assert len(names) == len(set(names))
    assert list(certificates.subjects(PARAMS, "gaussian")) == []


def test_randomised_copies_follow_their_seed_and_leave_the_original():
    module = Rescaling((1000,))
    copies = [certificates.randomised(module, seed, scale=0.5) for seed in (0, 0, 1)]
    assert not module.log_scale.any()
    assert torch.equal(copies[0].log_scale, copies[1].log_scale)
    assert not torch.equal(copies[0].log_scale, copies[2].log_scale)
    assert float(copies[0].log_scale.std().detach()) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("field", range(5))
def test_each_error_alone_fails_a_check(field):
    errors = [0.0] * 5
    assert certificates.passes(Check(*errors))
    for wrong in (1e-7, float("inf")):
        errors[field] = wrong
        assert not certificates.passes(Check(*errors))


class WrongBelowZero(FlowModule):
    def encode(self, x):
        return torch.where(x < 0, 2 * x, x), x.new_zeros(len(x))

    def decode(self, z):
        return torch.where(z < 0, z / 2, z), z.new_zeros(len(z))


def test_points_have_both_signs_unless_the_domain_forbids():
    assert not certificates.passes(certificates.certify(WrongBelowZero(), (3,)))
    module = FlowSequential(Logit(0.05))
    x = certificates.events(module, (1000,), 3, seed=0)
    assert x.min() > 0
    assert x.max() < 1
    assert certificates.passes(certificates.certify(module, (3,)))
