"""Glow on vectors: ActNorm, invertible linear map, affine coupling (Kingma & Dhariwal 2018, 1807.03039)."""

from pydantic import PositiveInt

from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import PriorName, vector_flow
from flowbench.layers._parts import coupling_parts
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.linear import InvertibleLinear
from flowbench.networks.mlp import mlp


def build(
    event: Event, *, steps: PositiveInt = 10, hidden: list[PositiveInt], prior: PriorName = "normal"
) -> FlowModel:
    """Steps of flow, each ActNorm, linear map and coupling.

    Args:
        steps: number of steps, K in the paper.
        hidden: sizes of the hidden layers of each coupling's network.
        prior: standard normal, or a learnt mixture of two Gaussians.
    """
    maps: list[FlowModule] = []
    kept, changed = coupling_parts(event.dims, swap=False)
    for _ in range(steps):
        # The linear map exchanges the halves in a learnt way, so the couplings need not take turns.
        maps += [
            ActNorm((event.dims,)),
            InvertibleLinear(event.dims),
            AffineCoupling(mlp(kept, hidden, 2 * changed)),
        ]
    return vector_flow(event, maps, prior)
