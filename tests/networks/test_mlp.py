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
    parameters = list(network.parameters())
    x = torch.linspace(-1, 1, 64)[:, None]
    for _ in range(400):  # by hand, since torch's optimisers cost six seconds of imports
        loss = (network(x) - x.abs()).square().mean()
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.3 * gradient
    assert float(loss.detach()) < 0.01
