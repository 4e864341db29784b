"""Roots by bisection: their digits, and their derivatives of first and second order."""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from flowbench.numerics.roots import invert, leave_to_python


def cubic(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return x**3 + slope * x


def roots(y: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    reach = y.abs() / slope
    return invert(cubic, y, -reach, reach, slope)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roots_are_exact_to_their_digits_or_to_a_share_of_the_bracket(dtype):
    x = torch.cat([10.0 ** torch.arange(-6, 5, dtype=dtype), torch.linspace(-3, 3, 101, dtype=dtype)])
    slope = torch.tensor(2.0, dtype=dtype)
    found = roots(cubic(x, slope), slope)
    assert found.dtype == dtype
    share = 2.0**-60 * 2 * cubic(x, slope).abs() / slope
    assert ((found - x).abs() <= 4 * torch.finfo(dtype).eps * x.abs() + share).all()


def test_a_root_outside_of_the_bracket_is_the_end_next_to_it():
    y = torch.tensor([-5.0, 5.0])
    found = invert(lambda x: x, y, torch.zeros(2), torch.ones(2))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]), atol=1e-15, rtol=0)


def test_what_is_no_number_has_no_root_and_spoils_no_other():
    found = roots(torch.tensor([math.nan, 3.0]), torch.tensor(2.0))
    assert found.isnan().tolist() == [True, False]
    torch.testing.assert_close(found[1], torch.tensor(1.0))


def test_derivatives_of_both_orders():
    y = torch.linspace(-3, 3, 5, dtype=torch.float64, requires_grad=True)
    slope = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(roots, (y, slope))
    assert gradgradcheck(roots, (y, slope))


def test_the_third_derivative():
    """Of the inverse of sinh it is (2y² - 1) / (1 + y²)^(5/2)."""
    y = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    value = invert(torch.sinh, y, -y.abs(), y.abs())
    for _ in range(3):
        (value,) = torch.autograd.grad(value, y, create_graph=True)
    assert float(value.detach()) == pytest.approx((2 * 0.7**2 - 1) / (1 + 0.7**2) ** 2.5, rel=1e-9)


def test_a_compiler_leaves_bisections_to_python(monkeypatch):
    """Traced, sixty steps would take minutes."""
    from flowbench.numerics import roots as module

    monkeypatch.setattr(module, "_invert", module._invert)
    leave_to_python()
    y = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(lambda y: 2 * roots(y, torch.tensor(2.0, dtype=torch.float64)), backend="eager")
    (gradient,) = torch.autograd.grad(compiled(y).sum(), y)
    expected = 2 * roots(y, torch.tensor(2.0, dtype=torch.float64))
    assert torch.equal(compiled(y), expected)
    assert torch.equal(gradient, torch.autograd.grad(expected.sum(), y)[0])
