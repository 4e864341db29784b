"""NICE: non-linear independent components estimation (Dinh et al. 2015, 1410.8516)."""

from pydantic import PositiveInt

from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import vector_flow
from flowbench.layers._parts import coupling_parts
from flowbench.layers.additive_coupling import AdditiveCoupling
from flowbench.layers.rescaling import Rescaling
from flowbench.networks.mlp import mlp


def build(event: Event, *, layers: PositiveInt = 8, hidden: list[PositiveInt]) -> FlowModel:
    """Additive couplings that take turns with the two halves, and one diagonal rescaling at the end.

    Args:
        layers: number of couplings.
        hidden: sizes of the hidden layers of each coupling's network.
    """
    maps: list[FlowModule] = []
    for i in range(layers):
        swap = i % 2 == 1
        kept, changed = coupling_parts(event.dims, swap)
        maps.append(AdditiveCoupling(mlp(kept, hidden, changed), swap=swap))
    return vector_flow(event, [*maps, Rescaling((event.dims,))])
