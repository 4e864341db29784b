"""normflows (Stimper et al. 2023, 2302.12014), by its own classes and with its own defaults."""

from __future__ import annotations

import normflows as nf
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, FlowSequential, Inverse
from flowbench.flows._library import Architecture, library_flow, perceptron


class _Map(FlowModule):
    """One of its maps, which run from latent to data.

    Its own chain adds log-determinants in float32 whatever the data is in, so ours stands in its place.
    """

    def __init__(self, flow: nf.flows.Flow):
        super().__init__()
        self.flow = flow

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow(z)


def build(event: Event, *, architecture: Architecture, layers: PositiveInt = 8, hidden: list[PositiveInt]) -> FlowModel:
    """A flow of the library, put together as in its examples.

    Args:
        architecture: ``realnvp``: `AffineCouplingBlock` with a perceptron and a permutation. ``maf``:
            `MaskedAffineAutoregressive` with a linear map, in the direction whose density takes one pass. ``nsf``:
            `CoupledRationalQuadraticSpline` with a linear map.
        layers: number of couplings or autoregressive maps.
        hidden: sizes of the hidden layers of each network, all equal unless it is that of ``realnvp``.
    """
    dims = event.dims
    maps: list[nf.flows.Flow] = []
    for _ in range(layers):
        if architecture == "realnvp":
            half = dims // 2
            network = nf.nets.MLP([dims - half, *hidden, 2 * half], init_zeros=True)
            maps += [nf.flows.AffineCouplingBlock(network), nf.flows.Permute(dims, mode="swap")]
        else:
            width, blocks = perceptron(hidden)
            if architecture == "maf":
                map_ = nf.flows.MaskedAffineAutoregressive(dims, width, num_blocks=blocks)
            else:
                map_ = nf.flows.CoupledRationalQuadraticSpline(dims, blocks, width)
            maps += [map_, nf.flows.LULinearPermute(dims)]
    chain = FlowSequential(*(_Map(map_) for map_ in reversed(maps)))
    return library_flow(event, Inverse(chain) if architecture == "maf" else chain)
