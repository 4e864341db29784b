"""The moments that a map normalises its features by."""

from __future__ import annotations

import torch
from torch import Tensor


def moments(x: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation and resolution of each feature along ``dim``, in float64 and without that dimension.

    Returns:
        The mean; the standard deviation, exactly zero for a constant feature; and the step between neighbouring
        numbers at the largest of the feature, below which no spread can be seen.
    """
    values = x.double()
    std = values.std(dim, unbiased=False) * (x.amax(dim) > x.amin(dim))
    numbers = torch.finfo(x.dtype if x.is_floating_point() else torch.get_default_dtype())
    # The inverse of a denormal number overflows.
    step = (numbers.eps * values.abs().amax(dim)).clamp(min=numbers.tiny)
    return values.mean(dim), std, step


def scale(std: Tensor, step: Tensor) -> Tensor:
    """The standard deviation, or one where it is no more than the rounding of numbers of the feature's own size."""
    return torch.where(std > step, std, torch.ones_like(std))
