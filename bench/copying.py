"""Our weights in the layers of another library."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from flowbench.networks.made import MADE

# What a slope of a spline is one at, before the softplus, with the least slope of neural spline flows.
NEUTRAL_SLOPE = math.log(math.expm1(1 - 1e-3))


@torch.no_grad()
def copy_linears(ours: nn.Module, theirs: Sequence[nn.Module]) -> None:
    """Copy the weights of our linear layers and convolutions, in their order, to as many of theirs."""
    layers = [layer for layer in ours.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for mine, other in zip(layers, theirs, strict=True):
        other.weight.copy_(mine.weight)
        other.bias.copy_(mine.bias)


@torch.no_grad()
def copy_made(ours: MADE, theirs: Sequence[nn.Linear], *, reverse: bool = False) -> None:
    """Copy our weights and masks to the masked layers of a MADE; the masks are buffers called ``mask``.

    Which hidden unit has which degree is each library's choice. With our masks the networks are the same function.

    Args:
        reverse: whether the other network takes the features in the reverse order, and gives outputs in it.
    """
    masks = [getattr(ours, f"mask_{i}") for i in range(len(ours.layers))] + [ours.mask_last]
    for i, (mine, mask, other) in enumerate(zip([*ours.layers, ours.last], masks, theirs, strict=True)):
        weight, bias = mine.weight, mine.bias
        if reverse and i == 0:
            weight, mask = weight.flip(1), mask.flip(1)
        if reverse and i == len(theirs) - 1:
            size = (ours.features, ours.outputs)
            weight, mask = (t.unflatten(0, size).flip(0).flatten(0, 1) for t in (weight, mask))
            bias = bias.unflatten(0, size).flip(0).flatten()
        other.weight.copy_(weight)
        other.bias.copy_(bias)
        other.mask.copy_(mask)
