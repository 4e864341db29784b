"""Small operations on batches that all maps share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowbench.core.errors import ShapeError


def sum_event(x: Tensor) -> Tensor:
    """Sum ``(batch, *event)`` over the event: ``(batch,)``."""
    return x.flatten(1).sum(1)


def require_shape(x: Tensor, shape: tuple[int, ...]) -> None:
    """Raise a `ShapeError` unless ``x`` is ``(batch, *shape)``: other events may broadcast, and be mapped wrongly."""
    if x.shape[1:] != shape:
        raise ShapeError(f"expected events of shape {tuple(shape)}, got {tuple(x.shape[1:])}")


def constant_logdet(x: Tensor, each: float = 0.0) -> Tensor:
    """The log-determinant, ``(batch,)`` in nats, to which each number of ``(batch, *event)`` adds ``each``.

    Whole numbers cannot hold it, and give the default dtype.
    """
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return torch.full((len(x),), each * math.prod(x.shape[1:]), dtype=dtype, device=x.device)


def soft_clamp(x: Tensor, limit: float) -> Tensor:
    """Bound log-scales smoothly to ``(-limit, limit)``, with slope one at zero: ``exp`` overflows in deep stacks."""
    return limit * torch.tanh(x / limit)


def full_precision(x: Tensor) -> torch.autocast:
    """A block without autocast on the device of ``x``.

    A map's own products of matrices run in it: in bfloat16 they would round the data itself, and the latent would no
    longer be that of the data. The networks inside the maps only steer them and may be rounded.
    """
    return torch.autocast(x.device.type, enabled=False)
