import pytest
import torch

from flowbench.networks.mlp import mlp


@pytest.mark.parametrize("hidden", [[], [8], [8, 4]], ids=str)
def test_shapes_and_a_start_at_zero(hidden):
    network = mlp(3, hidden, 5)
    assert torch.equal(network(torch.randn(2, 3)), torch.zeros(2, 5))
    sizes = [layer.out_features for layer in network if isinstance(layer, torch.nn.Linear)]
    assert sizes == [*hidden, 5]


def test_learns_something_that_is_not_linear():
    network = mlp(1, [16], 1)
    x = torch.linspace(-1, 1, 64)[:, None]
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(200):
        optimiser.zero_grad()
        loss = (network(x) - x.abs()).square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.01
