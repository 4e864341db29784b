"""RealNVP: real-valued non-volume-preserving flow (Dinh et al. 2017, 1605.08803)."""

from pydantic import PositiveInt

from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import vector_flow
from flowbench.layers._parts import coupling_parts
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.networks.mlp import mlp


def build(event: Event, *, layers: PositiveInt = 8, hidden: list[PositiveInt]) -> FlowModel:
    """Affine couplings that take turns with the two halves.

    Args:
        layers: number of couplings.
        hidden: sizes of the hidden layers of each coupling's network.
    """
    maps: list[FlowModule] = []
    for i in range(layers):
        swap = i % 2 == 1
        kept, changed = coupling_parts(event.dims, swap)
        maps.append(AffineCoupling(mlp(kept, hidden, 2 * changed), swap=swap))
    return vector_flow(event, maps)
