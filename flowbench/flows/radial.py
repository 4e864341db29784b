"""Radial flow (Rezende & Mohamed 2015, 1505.05770)."""

from typing import Literal

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, Inverse
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.layers.radial import Radial


def build(
    event: Event, *, layers: PositiveInt = 16, direction: Literal["encode", "decode"], logit: Alpha = None
) -> FlowModel:
    """Radial maps, closed in both directions.

    Args:
        layers: number of radial maps.
        direction: which one is equation 14 of the paper, and not its inverse: ``encode`` from data to latent, or
            ``decode`` from latent to data, as the paper samples.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, direction="encode")
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = []
    for _ in range(layers):
        layer = Radial(event.dims)
        maps.append(layer if direction == "encode" else Inverse(layer))
    return vector_flow(event, maps, logit=logit)
