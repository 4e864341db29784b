"""The Sylvester map: its matrices, its numeric inverse at extreme slopes, and what it shares with a planar map."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.func import functional_call

from flowbench.core import ShapeError
from flowbench.layers.planar import Planar
from flowbench.layers.sylvester import Sylvester
from flowbench.runtime.seeding import seeded

KINDS = {
    "whole": {},
    "low rank": {"rank": 2},
    "reflections": {"reflections": 2},
    "low rank by reflections": {"rank": 3, "reflections": 4},
}
EACH = pytest.mark.parametrize("kind", KINDS)


def sylvester(kind: str, slope: float | None = None, steepness: float = 1.0, dims: int = 4) -> Sylvester:
    """A map in float64 at random parameters; all slopes before the constraint and the scale of R̃ may be given."""
    with seeded(0):
        layer = Sylvester(dims, **KINDS[kind]).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
            layer.log_scale.add_(math.log(steepness))
            if slope is not None:
                layer.slope.fill_(slope)
    return layer


def normal(n: int, dims: int = 4, scale: float = 1.0) -> torch.Tensor:
    with seeded(1):
        return scale * torch.randn(n, dims, dtype=torch.float64)


@EACH
@torch.no_grad()
def test_it_is_the_map_of_the_paper(kind):
    layer, x = sylvester(kind), normal(20)
    basis, (inner, outer, slope) = layer._basis(), layer._triangles()
    rank = len(slope)
    torch.testing.assert_close(basis.T @ basis, torch.eye(rank, dtype=torch.float64))
    for triangle in (inner, outer):
        assert torch.equal(triangle, triangle.triu())
    torch.testing.assert_close(inner.diagonal() * outer.diagonal(), slope)
    z, logdet = layer.encode(x)
    hidden = torch.stack([torch.tanh(inner @ basis.T @ one + layer.bias) for one in x])
    torch.testing.assert_close(z, torch.stack([one + basis @ outer @ h for one, h in zip(x, hidden, strict=True)]))
    # The determinant of the whole Jacobian, of which the map takes only diagonals.
    jacobians = torch.stack(
        [torch.eye(4, dtype=torch.float64) + basis @ outer @ torch.diag(1 - h**2) @ inner @ basis.T for h in hidden]
    )
    torch.testing.assert_close(logdet, torch.logdet(jacobians))


@torch.no_grad()
def test_a_map_of_rank_one_is_planar():
    with seeded(0):
        layer, planar = Sylvester(3, rank=1).double(), Planar(3).double()
        layer.log_scale.fill_(0.4)
        layer.bias.fill_(0.3)
        layer.slope.fill_(1.7)
    direction, scale = layer._basis()[:, 0], layer.log_scale.exp()
    planar.weight.copy_(scale * direction)
    planar.scale.copy_(layer.slope / scale * direction)
    planar.bias.fill_(0.3)
    for way in ("encode", "decode"):
        x = normal(20, dims=3)
        torch.testing.assert_close(getattr(layer, way)(x), getattr(planar, way)(x), atol=1e-12, rtol=1e-12)


@EACH
@pytest.mark.parametrize("slope", [-1000.0, -20.0, -1.0, 0.0, 5.0, 1000.0])
@pytest.mark.parametrize("steepness", [1e-3, 1.0, 100.0])
@torch.no_grad()
def test_constraint_keeps_the_map_invertible(kind, slope, steepness):
    layer = sylvester(kind, slope, steepness)
    softplus = math.log1p(math.exp(slope)) if slope < 50 else slope  # whose exp would overflow
    inner, outer, slopes = layer._triangles()
    assert slopes.tolist() == pytest.approx([softplus - 1 + 1e-4] * len(slopes))
    torch.testing.assert_close(inner.diagonal() * outer.diagonal(), slopes)
    assert layer.encode(normal(100))[1].isfinite().all()
    assert (layer.float()._triangles()[2] > -1).all()


@EACH
@pytest.mark.parametrize("slope", [-10.0, 0.0, 1000.0])
@pytest.mark.parametrize("steepness", [0.1, 10.0])
def test_log_determinants_at_extreme_slopes(kind, slope, steepness):
    check = sylvester(kind, slope, steepness).check(normal(10, scale=3.0))
    # At a slope of -1 + 1e-4 the derivative vanishes almost, and its logarithm loses digits.
    assert check.logdet_error < (1e-7 if slope < 0 else 1e-8)


@EACH
@torch.no_grad()
@pytest.mark.parametrize("slope", [-10.0, -3.0, 0.0, 5.0, 1000.0])
@pytest.mark.parametrize("steepness", [0.1, 1.0, 10.0])
def test_the_numeric_inverse_is_as_exact_as_its_latent(kind, slope, steepness):
    """Several slopes near -1 squeeze space by their product, which no inverse undoes better than a latent is rounded.

    Both directions are taken to be as good as rounding what they are given and what they return.
    """
    exact, points = sylvester(kind, slope, steepness), normal(100, scale=3.0)
    basis, (inner, outer, _) = exact._basis(), exact._triangles()
    hidden = torch.tanh(points @ basis @ inner.T + exact.bias)
    jacobians = torch.eye(4, dtype=torch.float64) + basis @ outer @ ((1 - hidden**2)[:, :, None] * inner) @ basis.T
    condition = torch.linalg.cond(jacobians, 2)
    stretch = torch.linalg.matrix_norm(torch.linalg.inv(jacobians), 2)
    for dtype in (torch.float64, torch.float32):
        layer, x = sylvester(kind, slope, steepness).to(dtype), points.to(dtype)
        z, _ = layer.encode(x)
        again, _ = layer.decode(z)
        # What is added up is as large as the displacement, which may cancel in the latent.
        size = 1 + x.norm(dim=1) + layer._triangles()[1].norm()
        bound = 10 * torch.finfo(dtype).eps * size * (condition + stretch).to(dtype)
        assert ((again - x).norm(dim=1) < bound).all()


@EACH
@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_away_it_shifts_by_no_more_than_its_weights(kind, dtype):
    layer = sylvester(kind).to(dtype)
    x = normal(50, scale=1e6).to(dtype)
    z, logdet = layer.encode(x)
    rounding = 1e7 * torch.finfo(dtype).eps
    assert (z - x).norm(dim=1).max() <= layer._triangles()[1].abs().sum(1).norm() + rounding
    torch.testing.assert_close(layer.decode(z)[0], x, atol=rounding, rtol=0)
    assert logdet.isfinite().all()


@torch.no_grad()
def test_what_is_orthogonal_to_its_directions_stays():
    layer, x = sylvester("low rank"), normal(20)
    basis = layer._basis()
    rest = torch.eye(4, dtype=torch.float64) - basis @ basis.T
    for way in ("encode", "decode"):
        y, _ = getattr(layer, way)(x)
        torch.testing.assert_close(y @ rest, x @ rest)
        assert not torch.allclose(y, x, atol=1e-2)


@torch.no_grad()
def test_directions_do_not_jump_while_they_are_learnt():
    """A Householder decomposition changes the signs of columns where the first number passes zero."""
    layer, x = sylvester("whole"), normal(20)
    found = []
    for first in (-1e-9, 1e-9):
        layer.directions[0, 0] = first
        found.append(layer.encode(x)[0])
    torch.testing.assert_close(*found, atol=1e-7, rtol=0)


@EACH
@pytest.mark.parametrize("direction", ["encode", "decode"])
@pytest.mark.parametrize("slope", [-2.0, 0.5])
def test_gradients_agree_with_finite_differences(kind, direction, slope):
    layer = sylvester(kind, slope)
    names, values = zip(*layer.named_parameters(), strict=True)
    points = normal(2).requires_grad_()

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

    inputs = (points, *(value.detach().clone().requires_grad_() for value in values))
    assert gradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize("kind", ["whole", "low rank"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@torch.no_grad()
def test_dependent_columns_still_make_a_map(kind, dtype):
    """The diagonal of their triangle holds a zero, which has no sign."""
    layer = sylvester(kind).to(dtype)
    layer.directions[:, 1] = 0
    basis, x = layer._basis(), normal(20).to(dtype)
    torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1], dtype=dtype))
    z, logdet = layer.encode(x)
    again, logdet_again = layer.decode(z)
    torch.testing.assert_close(again, x, atol=1e-4, rtol=0)
    torch.testing.assert_close(logdet_again, -logdet, atol=1e-4, rtol=0)


def test_a_reflection_along_zero_is_the_identity():
    layer, without = sylvester("reflections"), sylvester("reflections")
    with torch.no_grad():
        layer.directions[1] = 0
        without.directions = torch.nn.Parameter(layer.directions[:1])
    z, logdet = layer.encode(normal(5))
    torch.testing.assert_close((z, logdet), without.encode(normal(5)))
    (z.sum() + logdet.sum()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e-13, 1e30])
@torch.no_grad()
def test_the_length_of_a_reflection_means_nothing(size):
    layer = sylvester("reflections").float()
    expected = layer._basis()
    layer.directions *= size / layer.directions.abs().max()
    torch.testing.assert_close(layer._basis(), expected, atol=1e-3 if size == 1e-40 else 1e-6, rtol=0)


@pytest.mark.parametrize("rank", [0, 5])
def test_a_rank_that_does_not_fit_is_refused(rank):
    with pytest.raises(ShapeError, match="expected a rank between 1 and 4"):
        Sylvester(4, rank=rank)
