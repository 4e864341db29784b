"""zuko (Rozet et al. 2022), by its own classes and with its own defaults."""

from __future__ import annotations

import zuko
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._library import Architecture, library_flow


class _Map(FlowModule):
    def __init__(self, flow: zuko.flows.Flow):
        super().__init__()
        self.transform = flow.transform

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform().call_and_ladj(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform().inv.call_and_ladj(z)


def build(event: Event, *, architecture: Architecture, layers: PositiveInt = 8, hidden: list[PositiveInt]) -> FlowModel:
    """A flow of the library.

    Args:
        architecture: ``realnvp``: its `RealNVP`. ``maf``: its `MAF`. ``nsf``: its `NSF` in two passes, which makes it
            couplings.
        layers: number of couplings or autoregressive maps.
        hidden: sizes of the hidden layers of each network.
    """
    options = {"transforms": layers, "hidden_features": hidden}
    if architecture == "realnvp":
        return library_flow(event, _Map(zuko.flows.RealNVP(event.dims, **options)))
    if architecture == "maf":
        return library_flow(event, _Map(zuko.flows.MAF(event.dims, **options)))
    return library_flow(event, _Map(zuko.flows.NSF(event.dims, passes=2, **options)))
