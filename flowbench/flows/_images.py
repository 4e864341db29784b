"""What the flows on images share: the vector that they end with, and how scales are nested."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from flowbench.core import Event, FlowModel, FlowModule, FlowSequential, ShapeError
from flowbench.flows._assembly import Alpha, dequantisation
from flowbench.flows._priors import standard_normal
from flowbench.layers.flatten import Flatten
from flowbench.layers.split import Split

Shape = tuple[int, ...]


def image_flow(event: Event, layers: Callable[[Shape], list[FlowModule]], *, logit: Alpha = None) -> FlowModel:
    """A flow on images (C, H, W): ``layers`` of that shape end with a vector, whose prior is standard normal."""
    if len(event.shape) != 3:
        raise ShapeError("a convolutional flow takes images (C, H, W)")
    dequantise, maps = dequantisation(event, logit)
    return FlowModel(FlowSequential(*maps, *layers(event.shape)), standard_normal(event.dims), dequantise=dequantise)


def multi_scale(
    shape: Shape,
    scales: int,
    scale: Callable[[Shape, bool], tuple[list[FlowModule], Shape]],
    prior_network: Callable[[int], nn.Module | None],
) -> list[FlowModule]:
    """The multi-scale architecture (Dinh et al. 2017, 1605.08803, section 3.6), from an image to a vector.

    Args:
        shape: of the image (C, H, W).
        scales: number of scales, L in Glow.
        scale: makes the maps of one scale from its shape and whether it is the last; returns them with the shape
            that they lead to.
        prior_network: makes the network of each `Split` from its number of channels.
    """
    maps, shape = scale(shape, scales == 1)
    if scales == 1:
        return [*maps, Flatten(shape)]
    kept = (shape[0] // 2, *shape[1:])
    remaining = multi_scale(kept, scales - 1, scale, prior_network)
    return [*maps, Split(FlowSequential(*remaining), shape, prior_network(shape[0]))]
