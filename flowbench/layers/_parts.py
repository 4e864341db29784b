"""The two parts of a vector, or of an image's channels, that a coupling works on."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.core import ShapeError


def coupling_parts(dims: int, swap: bool) -> tuple[int, int]:
    """Sizes of the part that a coupling keeps and of the part that it changes.

    Raises:
        ShapeError: one dimension cannot be split.
    """
    if dims < 2:
        raise ShapeError(f"a coupling needs at least 2 dimensions, got {dims}")
    first = dims // 2
    return (dims - first, first) if swap else (first, dims - first)


def split(x: Tensor, swap: bool) -> tuple[Tensor, Tensor]:
    """``(batch, D, …)`` as (kept, changed), split along the first axis of the event."""
    first = x.shape[1] // 2
    one, two = x[:, :first], x[:, first:]
    return (two, one) if swap else (one, two)


def join(kept: Tensor, changed: Tensor, swap: bool) -> Tensor:
    """The inverse of `split`."""
    return torch.cat((changed, kept) if swap else (kept, changed), 1)
