"""The radial map where it is hardest: constraint and inverse at extreme parameters, at the centre and far away."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from flowbench.layers.radial import Radial
from flowbench.runtime.seeding import seeded


def radial(strength: float, width: float = 0.5, dims: int = 3) -> Radial:
    """A map in float64 with these parameters before the constraint."""
    with seeded(0):
        layer = Radial(dims).double()
    with torch.no_grad():
        layer.strength.fill_(strength)
        layer.width.fill_(width)
    return layer


STRENGTHS = [-1000.0, -20.0, -1.0, 0.0, 5.0, 1000.0]


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("width", [-20.0, 0.0, 100.0])
def test_constraint_keeps_the_map_invertible(strength, width):
    layer = radial(strength, width)
    with torch.no_grad():
        alpha, ratio = layer._constrained()
    assert alpha > 0
    softplus = math.log1p(math.exp(strength)) if strength < 50 else strength  # whose exp would overflow
    assert float(ratio) == pytest.approx(softplus - 1 + 1e-4)
    assert ratio > -1
    assert layer.float()._constrained()[1] > -1
    layer.double()
    with seeded(1):
        _, logdet = layer.encode(torch.randn(100, 3, dtype=torch.float64))
    assert logdet.isfinite().all()


@torch.no_grad()
def test_it_is_the_map_of_the_paper():
    layer = radial(1.3)
    alpha, ratio = layer._constrained()
    with seeded(1):
        x = torch.randn(20, 3, dtype=torch.float64)
    r = (x - layer.centre).square().sum(1, keepdim=True).sqrt()
    h, slope = 1 / (alpha + r), -1 / (alpha + r) ** 2
    beta = alpha * ratio
    z, logdet = layer.encode(x)
    torch.testing.assert_close(z, x + beta * h * (x - layer.centre))
    determinant = (1 + beta * h) ** 2 * (1 + beta * h + beta * slope * r)
    torch.testing.assert_close(logdet, determinant[:, 0].log())


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("width", [-5.0, 0.0, 20.0])
def test_closed_inverse(strength, width):
    layer = radial(strength, width)
    with seeded(1):
        check = layer.check(3 * torch.randn(50, 3))
    alpha, ratio = (float(value.detach()) for value in layer._constrained())
    size = max(1.0, alpha * abs(ratio))  # of the displacement
    assert check.round_trip_error < 1e-11 * size
    assert check.logdet_error < 1e-10


@torch.no_grad()
@pytest.mark.parametrize("strength", [-3.0, -1.0, 5.0, 1000.0])
def test_single_precision_inverse(strength):
    layer = radial(strength).float()
    with seeded(1):
        x = 3 * torch.randn(1000, 3)
    again = layer.decode(layer.encode(x)[0])[0]
    assert float((again - x).abs().max()) < 1e-5 * max(1, abs(strength))


@pytest.mark.parametrize("strength", [-1000.0, 0.0, 5.0])
@pytest.mark.parametrize("direction", ["encode", "decode"])
def test_the_centre_stays_and_has_gradients(strength, direction):
    layer = radial(strength)
    x = layer.centre.detach().clone()[None].requires_grad_()
    y, logdet = getattr(layer, direction)(x)
    (y.sum() + logdet.sum()).backward()
    torch.testing.assert_close(y, x)
    # There the map is a multiple of the identity.
    stretch = float(3 * torch.log1p(layer._constrained()[1]).detach())
    assert float(logdet.detach()) == pytest.approx(stretch if direction == "encode" else -stretch)
    assert all(gradient.isfinite().all() for gradient in (x.grad, *(p.grad for p in layer.parameters())))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_away_it_is_a_shift_along_the_ray(dtype):
    layer = radial(2.0).to(dtype)
    alpha, ratio = layer._constrained()
    with seeded(1):
        rays = torch.nn.functional.normalize(torch.randn(20, 3, dtype=dtype), dim=1)
    x = layer.centre + 1e6 * rays
    z, logdet = layer.encode(x)
    rounding = 4e6 * torch.finfo(dtype).eps
    torch.testing.assert_close(z - x, alpha * ratio * rays, atol=rounding + 1e-5, rtol=0)
    torch.testing.assert_close(layer.decode(z)[0], x, atol=rounding, rtol=0)
    assert logdet.abs().max() < 1e-5


@pytest.mark.parametrize("direction", ["encode", "decode"])
@pytest.mark.parametrize("size", [1e15, 1e30])
def test_squares_do_not_overflow(direction, size):
    layer = radial(2.0).float()
    with seeded(1):
        x = (size * torch.randn(20, 3)).requires_grad_()
    y, logdet = getattr(layer, direction)(x)
    torch.testing.assert_close(y, x)
    (y.sum() / size + logdet.sum()).backward()
    torch.testing.assert_close(x.grad * size, torch.ones_like(x))


@pytest.mark.parametrize("direction", ["encode", "decode"])
@pytest.mark.parametrize("strength", [-2.0, 0.5])
def test_gradients_agree_with_finite_differences(direction, strength):
    layer = radial(strength)
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
