"""Planar flow (Rezende & Mohamed 2015, 1505.05770)."""

from typing import Literal

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, Inverse
from flowbench.flows._assembly import vector_flow
from flowbench.flows._priors import PriorName
from flowbench.layers.planar import Planar


def build(
    event: Event, *, layers: PositiveInt = 16, closed_form: Literal["encode", "decode"], prior: PriorName = "normal"
) -> FlowModel:
    """Planar maps, closed in one direction and solved numerically in the other.

    Args:
        layers: number of planar maps.
        closed_form: ``encode`` to learn from data, ``decode`` to learn from an energy by sampling.
        prior: an energy needs one whose samples follow its parameters, so not ``mixture``.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, closed_form="encode")
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = []
    for _ in range(layers):
        layer = Planar(event.dims)
        maps.append(layer if closed_form == "encode" else Inverse(layer))
    return vector_flow(event, maps, prior_name=prior)
