"""Small operations on batches that all maps share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowbench.core.errors import DerivativeError, ShapeError


def sum_event(x: Tensor) -> Tensor:
    """Sum ``(batch, *event)`` over the event: ``(batch,)``."""
    return x.flatten(1).sum(1)


def require_shape(x: Tensor, shape: tuple[int, ...]) -> None:
    """Raise a `ShapeError` unless ``x`` is ``(batch, *shape)``: other events may broadcast and be mapped wrongly."""
    if x.shape[1:] != shape:
        raise ShapeError(f"expected events of shape {tuple(shape)}, got {tuple(x.shape[1:])}")


def require_levels(x: Tensor, levels: int, *, wait: bool) -> None:
    """Raise a `ValueError` unless all of ``x`` are grey levels: whole numbers from 0 to ``levels`` - 1.

    Args:
        wait: whether to check on a GPU too, where the host must wait for the answer. A training step must not.
    """
    if torch.compiler.is_compiling() or not (wait or x.device.type == "cpu") or not x.numel():
        return
    low, high = (end.item() for end in x.aminmax())  # a comparison within uint8 would wrap round
    whole = not x.is_floating_point() or bool((x == x.floor()).all())
    if not (low >= 0 and high < levels and whole):
        raise ValueError(f"expected whole grey levels from 0 to {levels - 1}, got numbers from {low:g} to {high:g}")


def constant_logdet(x: Tensor, each: float = 0.0) -> Tensor:
    """A constant log-determinant ``(batch,)`` in nats: ``each`` times the number of dimensions of ``(batch, *event)``.

    Its dtype is that of ``x``, or the default dtype if ``x`` holds integers.
    """
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return torch.full((len(x),), each * math.prod(x.shape[1:]), dtype=dtype, device=x.device)


def soft_clamp(x: Tensor, limit: float) -> Tensor:
    """Bound log-scales smoothly to ``(-limit, limit)``, with slope one at zero: ``exp`` overflows in deep stacks."""
    return limit * torch.tanh(x / limit)


def require_last_derivative(of: str) -> None:
    """Raise a `DerivativeError` within a backward pass whose gradients are to be differentiated again.

    Args:
        of: whose gradients autograd cannot follow, such as those that an iteration finds.
    """
    if torch.is_grad_enabled():
        raise DerivativeError(f"{of} has first derivatives alone; create_graph=True would ask for second ones")


def full_precision(x: Tensor) -> torch.autocast:
    """A block without autocast on the device of ``x``.

    A map multiplies its data by matrices in such a block: bfloat16 would round the data itself, and the latent would
    belong to other data. A network inside a coupling only gives scales and shifts, and may be rounded.
    """
    return torch.autocast(x.device.type, enabled=False)
