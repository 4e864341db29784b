"""nflows (Durkan et al. 2020), by its own classes and with its own defaults."""

from __future__ import annotations

import torch
from nflows.flows import MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    LULinear,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
    Transform,
)
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._library import Architecture, library_flow, perceptron


class _Map(FlowModule):
    def __init__(self, transform: Transform):
        super().__init__()
        self.transform = transform

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(z)


def build(event: Event, *, architecture: Architecture, layers: PositiveInt = 8, hidden: list[PositiveInt]) -> FlowModel:
    """A flow of the library.

    Args:
        architecture: ``realnvp``: its `SimpleRealNVP`. ``maf``: its `MaskedAutoregressiveFlow`. ``nsf``: couplings of
            splines with a permutation and a linear map before each, as its authors' experiments have them.
        layers: number of couplings or autoregressive maps.
        hidden: sizes of the hidden layers of each residual network, all equal.
    """
    width, blocks = perceptron(hidden)
    if architecture == "realnvp":
        transform = SimpleRealNVP(event.dims, width, layers, blocks)._transform
    elif architecture == "maf":
        transform = MaskedAutoregressiveFlow(event.dims, width, layers, blocks)._transform
    else:
        transform = CompositeTransform([part for i in range(layers) for part in _spline(event.dims, i, width, blocks)])
    return library_flow(event, _Map(transform))


def _spline(dims: int, i: int, width: int, blocks: int) -> list[Transform]:
    coupling = PiecewiseRationalQuadraticCouplingTransform(
        torch.arange(dims) % 2 == i % 2,
        lambda inputs, outputs: ResidualNet(inputs, outputs, hidden_features=width, num_blocks=blocks),
        num_bins=8,
        tails="linear",
        tail_bound=3.0,
    )
    return [RandomPermutation(dims), LULinear(dims), coupling]
