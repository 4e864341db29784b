import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowbench import certificates
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.networks.made import MADE
from flowbench.runtime.seeding import seeded


def dependencies(network: MADE) -> Tensor:
    """Which features the outputs of each feature see, from autograd: ``(D, D)`` of bool."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(0.1)  # so that no unit is switched off and no paths cancel
    x = torch.ones(1, network.features)
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x)[0].sum(1), x)
    return jacobian[:, 0] != 0


def paths(network: MADE) -> Tensor:
    """The same from the product of the masks, for each single output: ``(D · outputs, D)`` of bool."""
    product = torch.eye(network.features)
    for i in range(len(network.layers)):
        product = getattr(network, f"mask_{i}").float() @ product
    return network.mask_last.float() @ product != 0


@pytest.mark.parametrize("hidden", [[], [7], [16, 16], [7, 30, 9]], ids=str)
@pytest.mark.parametrize("features", [1, 2, 5, 8])
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_a_feature_depends_on_exactly_those_before_it(features, hidden, outputs):
    wanted = torch.ones(features, features).tril(-1).bool()
    network = MADE(features, hidden, outputs=outputs)
    assert torch.equal(paths(network), wanted.repeat_interleave(outputs, 0))
    assert torch.equal(dependencies(network), wanted)


@pytest.mark.parametrize("hidden", [[1], [3], [3, 2]], ids=str)
def test_too_few_hidden_units_lose_dependencies_and_add_none(hidden):
    network = MADE(6, hidden, outputs=2)
    seen = dependencies(network)
    assert not seen.triu().any()
    assert seen.any()
    assert seen[-1].any()


def test_outputs_of_a_feature_lie_side_by_side():
    network = MADE(3, [8], outputs=2)
    with torch.no_grad():
        network.last.bias.copy_(torch.arange(6.0))
    assert network(torch.zeros(4, 3))[0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_starts_at_zero():
    assert not MADE(5, [16, 16], outputs=2)(torch.randn(3, 5)).any()


@settings(max_examples=40)
@given(
    features=st.integers(1, 7),
    hidden=st.lists(st.integers(1, 12), max_size=3),
    batch=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_any_sizes_give_an_autoregressive_map(features, hidden, batch, seed):
    with seeded(seed):
        layer = MaskedAutoregressive(features, hidden)
    assert certificates.passes(certificates.certify(layer, (features,), points=batch, seed=seed))
