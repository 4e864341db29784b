"""Inverses of increasing functions, where they have no closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Each bisection halves the bracket, and float64 has fewer bits than this.
_BISECTIONS = 60


def invert(function: Callable[..., Tensor], y: Tensor, low: Tensor, high: Tensor, *parameters: Tensor) -> Tensor:
    """The x between ``low`` and ``high`` with function(x, ``*parameters``) = y, each ``(…)``, by bisection.

    It is exact to neighbouring numbers of its dtype, or to 2⁻⁶⁰ of the bracket if that is more, as far as the function
    tells them apart: a rounding of its values is divided by its slope. A root outside of the bracket gives the end next
    to it.

    Derivatives with respect to y and to the parameters are those of the implicit function theorem, of every order that
    the function has.

    Args:
        function: increases in its first argument, number by number; any further shapes of parameters are its business.
    """
    return _invert(function, y, low, high, *parameters)


class _Inverse(torch.autograd.Function):
    """With f'dx + ∂f/∂θ dθ = dy at the solution, whose slope f' depends on y and θ in turn."""

    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., Tensor], y: Tensor, low: Tensor, high: Tensor, *parameters: Tensor
    ) -> Tensor:
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            above = function(middle, *parameters) > y
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        x = (low + high) / 2
        ctx.function = function
        ctx.save_for_backward(x, *parameters)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()  # whether these gradients are to be differentiated
        with torch.enable_grad():
            # Derivatives at a fixed x are those with respect to aliases, through which x depends on nothing.
            x, *parameters = (tensor.view_as(tensor) for tensor in ctx.saved_tensors)
            value = ctx.function(x, *parameters)
            (slope,) = torch.autograd.grad(value.sum(), x, retain_graph=True, create_graph=again)
            of_y = gradients[0] / slope
            found: list[Tensor | None] = [None] * len(parameters)
            if wanted := [i for i, needed in enumerate(ctx.needs_input_grad[4:]) if needed]:
                inputs = [parameters[i] for i in wanted]
                of_parameters = torch.autograd.grad(value, inputs, -of_y, create_graph=again, allow_unused=True)
                for i, gradient in zip(wanted, of_parameters, strict=True):
                    found[i] = gradient
        return None, of_y, None, None, *found


_invert: Callable[..., Tensor] = _Inverse.apply


def leave_to_python() -> None:
    """Keep `torch.compile` out of `invert`, each of whose steps it would trace, for minutes.

    For those who compile: torch's own mark for this imports the compiler, which takes seconds.
    """
    global _invert
    _invert = torch.compiler.disable(_Inverse.apply)
