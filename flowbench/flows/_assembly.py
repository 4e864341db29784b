"""What all flows share: the preprocessing in front of them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowbench.config import Within
from flowbench.core import Event, FlowModel, FlowModule, FlowSequential, ShapeError
from flowbench.flows._priors import PriorName, mixture, prior
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.flatten import Flatten
from flowbench.layers.logit import LEAST_ALPHA, Logit
from flowbench.layers.standardise import Standardise

# The α of a `Logit`; ``None`` for no logit.
Alpha = Annotated[float, Within(ge=LEAST_ALPHA, lt=0.5)] | None


def dequantisation(event: Event, logit: Alpha) -> tuple[Dequantise | None, list[FlowModule]]:
    """The dequantisation that integer data needs, and the maps that take it from the unit interval."""
    if event.levels is None and logit is not None:
        raise ShapeError("logit is for integer data, which dequantisation brings into the unit interval")
    return Dequantise(event.levels) if event.levels else None, [Logit(logit)] if logit is not None else []


def preprocessing(event: Event, logit: Alpha) -> tuple[Dequantise | None, list[FlowModule]]:
    """The dequantisation that integer data needs, and the maps from data space to standardised vectors.

    Couplings and autoregressive maps could absorb the standardisation. Planar maps could not, since they only shift.
    """
    dequantise, maps = dequantisation(event, logit)
    if len(event.shape) > 1:
        maps.append(Flatten(event.shape))
    if event.standardise:
        maps.append(Standardise((event.dims,)))
    return dequantise, maps


def vector_flow(
    event: Event,
    layers: list[FlowModule],
    *,
    logit: Alpha = None,
    prior_name: PriorName = "normal",
    chosen: str | None = None,
) -> FlowModel:
    """A flow on vectors: preprocessing, ``layers`` from data to latent, and a prior.

    Args:
        chosen: the option that asked for the prior, for messages; ``prior`` if left out.
    """
    dequantise, maps = preprocessing(event, logit)
    return FlowModel(FlowSequential(*maps, *layers), latent(event, prior_name, chosen), dequantise=dequantise)


def latent(event: Event, prior_name: PriorName = "normal", chosen: str | None = None) -> Distribution | nn.Module:
    """The prior over vectors: the start of the event's transport if it has one, or else the prior of that name."""
    if event.start is None:
        return prior(prior_name, event.dims)
    if prior_name != "normal":
        chosen = chosen or f"prior: {prior_name}"
        raise ValueError(f"the data set says where its transport starts, so {chosen} cannot be chosen")
    return mixture(event.start)


def as_continuous_vectors(model: FlowModel, x: Tensor) -> Tensor:
    """Training data after the preprocessing of ``model``, ``(n, D)``."""
    with torch.no_grad():
        return model.transform.encode(model.transform_input(x)[0])[0]
