"""What all flows share: the preprocessing in front of them, and how scales of an image are nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from flowbench.core import Event, FlowModel, FlowModule, FlowSequential, ShapeError
from flowbench.flows._priors import PriorName, prior, standard_normal
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.flatten import Flatten
from flowbench.layers.logit import Logit
from flowbench.layers.split import Split
from flowbench.layers.standardise import Standardise

# The α of a `Logit`; null for none.
Alpha = Annotated[float, Field(gt=0, lt=0.5)] | None


def continuous(event: Event, logit: Alpha) -> tuple[Dequantise | None, list[FlowModule]]:
    """The dequantisation that integer data needs, and the maps that take it from the unit interval."""
    if event.levels is None and logit is not None:
        raise ShapeError("logit is for integer data, which dequantisation brings into the unit interval")
    return Dequantise(event.levels) if event.levels else None, [Logit(logit)] if logit is not None else []


def preprocessing(event: Event, logit: Alpha) -> tuple[Dequantise | None, list[FlowModule]]:
    """The dequantisation that integer data needs, and the maps from data space to standardised vectors.

    Standardisation makes no flow here more able: couplings and autoregressive maps can absorb it.
    """
    dequantise, maps = continuous(event, logit)
    if len(event.shape) > 1:
        maps.append(Flatten(event.shape))
    if event.standardise:
        maps.append(Standardise((event.dims,)))
    return dequantise, maps


def vector_flow(
    event: Event, layers: list[FlowModule], *, logit: Alpha = None, prior_name: PriorName = "normal"
) -> FlowModel:
    """A flow on vectors: preprocessing, ``layers`` from data to latent, and a prior."""
    dequantise, maps = preprocessing(event, logit)
    return FlowModel(FlowSequential(*maps, *layers), prior(prior_name, event.dims), dequantise=dequantise)


def image_flow(event: Event, layers: list[FlowModule], *, logit: Alpha = None) -> FlowModel:
    """A flow on images (C, H, W): ``layers`` end with a vector, whose prior is standard normal."""
    if len(event.shape) != 3:
        raise ShapeError(f"a convolutional flow takes images (C, H, W), got events of shape {event.shape}")
    dequantise, maps = continuous(event, logit)
    return FlowModel(FlowSequential(*maps, *layers), standard_normal(event.dims), dequantise=dequantise)


Shape = tuple[int, ...]


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


def as_continuous_vectors(model: FlowModel, x: Tensor) -> Tensor:
    """Training data as the preprocessing of ``model`` hands it on, ``(n, D)``."""
    with torch.no_grad():
        return model.transform.encode(model.continuous(x)[0])[0]
