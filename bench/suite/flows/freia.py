"""FrEIA (Ardizzone et al. 2018), by its own classes and with its own defaults."""

from __future__ import annotations

from typing import Literal

from FrEIA.framework import SequenceINN
from FrEIA.modules import AllInOneBlock
from torch import Tensor, nn

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._library import library_flow
from flowbench.networks.mlp import mlp


class _Map(FlowModule):
    def __init__(self, network: SequenceINN):
        super().__init__()
        self.network = network
        # Its permutations are parameters that are not learnt, which a test of the map would change.
        for module in network.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                if not parameter.requires_grad:
                    delattr(module, name)
                    module.register_buffer(name, parameter.data)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(z, rev=True)


def build(
    event: Event, *, architecture: Literal["realnvp"] = "realnvp", layers: PositiveInt = 8, hidden: list[PositiveInt]
) -> FlowModel:
    """A flow of the library.

    Args:
        architecture: ``realnvp``: its `AllInOneBlock`, an affine coupling with a global scale and a permutation.
            Its rotations are not taken, which have the digits of float32 alone.
        layers: number of blocks.
        hidden: sizes of the hidden layers of each network, which the library leaves to its user.
    """

    def subnet(inputs: int, outputs: int) -> nn.Module:
        return mlp(inputs, hidden, outputs)

    network = SequenceINN(event.dims)
    for _ in range(layers):
        network.append(AllInOneBlock, subnet_constructor=subnet)
    return library_flow(event, _Map(network))
