"""The planar map where it is hardest: constraint and numeric inverse at extreme parameters, and gradients."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from flowbench.layers.planar import Planar
from flowbench.runtime.seeding import seeded


def planar(product: float, steepness: float, dims: int = 3) -> Planar:
    """A map in float64 with wᵀu = ``product``, before the constraint, and ‖w‖ = ``steepness``."""
    with seeded(0):
        layer = Planar(dims).double()
    with torch.no_grad():
        layer.weight *= steepness / layer.weight.norm()
        layer.scale += (product - layer.weight @ layer.scale) * layer.weight / layer.weight.square().sum()
        layer.bias.fill_(0.3)
    return layer


PRODUCTS = [-1000.0, -20.0, -1.0, 0.0, 5.0, 1000.0]


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("steepness", [1e-3, 1.0, 100.0])
def test_constraint_keeps_the_map_invertible(product, steepness):
    layer = planar(product, steepness)
    with torch.no_grad():
        direction, slope = layer._constrained()
        torch.testing.assert_close(layer.weight @ direction, slope, atol=1e-9, rtol=1e-9)
    softplus = math.log1p(math.exp(product)) if product < 50 else product  # whose exp would overflow
    assert float(slope) == pytest.approx(softplus - 1 + 1e-4)
    assert slope > -1
    assert layer.float()._constrained()[1] > -1
    layer.double()
    with seeded(1):
        _, logdet = layer.encode(torch.randn(100, 3, dtype=torch.float64))
    assert logdet.isfinite().all()


@pytest.mark.parametrize("product", [-10.0, -1.0, 0.0, 5.0, 1000.0])
@pytest.mark.parametrize("steepness", [0.1, 1.0, 100.0])
def test_numeric_inverse(product, steepness):
    layer = planar(product, steepness)
    with seeded(1):
        check = layer.check(3 * torch.randn(50, 3))
    size = max(1.0, float(layer._constrained()[0].detach().norm()))  # of the displacement, û tanh(·)
    assert check.round_trip_error < 1e-10 * size
    # At a slope of -1 + exp(-10) the derivative vanishes almost, and its logarithm loses digits.
    assert check.logdet_error < (1e-7 if product < -5 else 1e-8)


@torch.no_grad()
@pytest.mark.parametrize("product", [-3.0, -1.0, 5.0, 1000.0])
def test_single_precision_inverse(product):
    layer = planar(product, 1.0).float()
    with seeded(1):
        x = 3 * torch.randn(1000, 3)
    again = layer.decode(layer.encode(x)[0])[0]
    assert float((again - x).abs().max()) < 1e-5 * max(1, abs(product))


@pytest.mark.parametrize("direction", ["encode", "decode"])
@pytest.mark.parametrize("product", [-2.0, 0.5])
def test_gradients_agree_with_finite_differences(direction, product):
    layer = planar(product, 1.5)
    names, values = zip(*layer.named_parameters(), strict=True)
    with seeded(1):
        points = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return getattr(self.layer, direction)(x)

    def function(x, *parameters):
        return functional_call(
            Module(), {f"layer.{name}": value for name, value in zip(names, parameters, strict=True)}, x
        )

    assert gradcheck(function, (points, *(value.detach().clone().requires_grad_() for value in values)))
