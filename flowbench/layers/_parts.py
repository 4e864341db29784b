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


def split(x: Tensor, swap: bool, context: int = 0) -> tuple[Tensor, Tensor]:
    """``(batch, D, …)`` as (kept, changed), split along the first axis of the event.

    Args:
        context: as many numbers before the D features, which are kept too, in front.
    """
    if context:
        given, features = x[:, :context], x[:, context:]
        kept, changed = split(features, swap)
        return torch.cat((given, kept), 1), changed
    first = x.shape[1] // 2
    one, two = x[:, :first], x[:, first:]
    return (two, one) if swap else (one, two)


def join(kept: Tensor, changed: Tensor, swap: bool, context: int = 0) -> Tensor:
    """The inverse of `split`."""
    if context:
        given, kept = kept[:, :context], kept[:, context:]
        return torch.cat((given, join(kept, changed, swap)), 1)
    return torch.cat((changed, kept) if swap else (kept, changed), 1)
