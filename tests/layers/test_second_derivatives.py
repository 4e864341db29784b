"""Second derivatives of every layer: right, or refused. A number that is silently wrong is neither."""

import copy

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from flowbench import certificates, layers
from flowbench.core import DerivativeError, FlowModule
from flowbench.layers.continuous import ContinuousFlow
from flowbench.layers.residual import Residual
from flowbench.networks.lipschitz import LipschitzPerceptron
from flowbench.runtime.seeding import seeded

with seeded(0):
    LAYERS = {name: (module, shape) for name, module, shape in layers.examples()}
# Inverses that are found without a graph.
ONCE = ("autoregressive", "residual")
STEP = 1e-5


class Direction(torch.nn.Module):
    def __init__(self, layer: FlowModule, name: str):
        super().__init__()
        self.layer, self.name = layer, name

    def forward(self, x: Tensor) -> Tensor:
        """A number that depends on all that the direction returns, and not linearly."""
        y, logdet = getattr(self.layer, self.name)(x)
        return y.flatten(1).sin().sum() + (y.flatten(1).sum(1) * logdet).sum()


def slopes(direction: Direction, inputs: list[Tensor], *, again: bool) -> list[Tensor]:
    """The gradient with respect to the points and to all parameters."""
    names = [name for name, _ in direction.named_parameters()]
    inputs = [value.detach().clone().requires_grad_() for value in inputs] if not again else inputs
    value = functional_call(direction, dict(zip(names, inputs[1:], strict=True)), inputs[0])
    return list(torch.autograd.grad(value, inputs, create_graph=again, materialize_grads=True))


@pytest.mark.parametrize("direction", ["encode", "decode"])
@pytest.mark.parametrize("name", LAYERS)
def test_second_derivatives_are_right_or_refused(name, direction):
    module, shape = LAYERS[name]
    module = copy.deepcopy(certificates.randomised(module)).double().eval()
    for part in module.modules():
        if isinstance(part, ContinuousFlow):
            part.tolerance = 1e-9
    x = certificates.events(module, shape, 2, seed=1).double()
    with torch.no_grad():
        module.initialise(x)
        points = x if direction == "encode" else module.encode(x)[0]
    whole = Direction(module, direction)
    inputs = [points, *(parameter.detach() for parameter in module.parameters())]
    with seeded(2):
        along = [torch.randn_like(value) for value in inputs]
    if name.partition(":")[0] in ONCE and direction == "decode":
        with pytest.raises(DerivativeError, match="has first derivatives alone"):
            slopes(whole, [value.clone().requires_grad_() for value in inputs], again=True)
        return
    leaves = [value.clone().requires_grad_() for value in inputs]
    first = slopes(whole, leaves, again=True)
    product = sum((one * way).sum() for one, way in zip(first, along, strict=True))
    found = (
        torch.autograd.grad(product, leaves, materialize_grads=True)
        if product.requires_grad
        else map(torch.zeros_like, leaves)
    )
    ends = [
        slopes(whole, [value + sign * STEP * way for value, way in zip(inputs, along, strict=True)], again=False)
        for sign in (1, -1)
    ]
    for one, right, left in zip(found, *ends, strict=True):
        expected = (right - left) / (2 * STEP)
        torch.testing.assert_close(one, expected, atol=1e-5 * (1 + float(expected.abs().max())), rtol=0)


def test_those_of_an_estimated_log_determinant_are_refused():
    layer = Residual(LipschitzPerceptron(2, [4]), estimate="always").double()
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    z, logdet = layer.encode(x)
    torch.autograd.grad(z.sum(), x, create_graph=True)
    with pytest.raises(DerivativeError, match="an estimated log-determinant has first derivatives alone"):
        torch.autograd.grad(logdet.sum(), x, create_graph=True)
