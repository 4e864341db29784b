"""Sylvester flow (van den Berg et al. 2018, 1803.05649)."""

from typing import Literal

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, Inverse
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.layers.sylvester import Sylvester


def build(
    event: Event,
    *,
    layers: PositiveInt = 8,
    rank: PositiveInt | None = None,
    reflections: PositiveInt | None = None,
    closed_form: Literal["encode", "decode"],
    logit: Alpha = None,
) -> FlowModel:
    """Sylvester maps, closed in one direction and solved numerically in the other.

    Args:
        layers: number of Sylvester maps.
        rank: in how many directions each map moves points; null for all.
        reflections: how many Householder reflections make the directions of a map orthogonal, as in the paper's H-SNF;
            null for the QR decomposition of a matrix, which is its O-SNF without an iteration.
        closed_form: ``encode`` to learn from data, ``decode`` to learn from an energy by sampling.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, closed_form="encode")
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = []
    for _ in range(layers):
        layer = Sylvester(event.dims, rank=rank, reflections=reflections)
        maps.append(layer if closed_form == "encode" else Inverse(layer))
    return vector_flow(event, maps, logit=logit)
