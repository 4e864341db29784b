"""Pyro (Bingham et al. 2019, 1810.09538), by its own transforms and with its own defaults.

Its `affine_autoregressive` is left out: the inverse makes zeros in float32, so it cannot be certified in float64.
"""

from __future__ import annotations

from typing import Literal

from pyro.distributions import TransformModule
from pyro.distributions.transforms import affine_coupling
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, FlowSequential
from flowbench.flows._library import library_flow


class _Map(FlowModule):
    """One transform from latent to data, behind a reversal of the features."""

    def __init__(self, transform: TransformModule):
        super().__init__()
        self.transform = transform

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.transform._inverse(x)
        return z.flip(-1), -self._logdet(z, x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = z.flip(-1)
        x = self.transform._call(z)
        return x, self._logdet(z, x)

    def _logdet(self, z: Tensor, x: Tensor) -> Tensor:
        logdet = self.transform.log_abs_det_jacobian(z, x)
        self.transform._cached_log_scale = None  # a part of the graph, which would keep the model from being copied
        return logdet


def build(
    event: Event, *, architecture: Literal["realnvp"] = "realnvp", layers: PositiveInt = 8, hidden: list[PositiveInt]
) -> FlowModel:
    """A flow of the library.

    Args:
        architecture: ``realnvp``: its `affine_coupling`.
        layers: number of couplings.
        hidden: sizes of the hidden layers of each network.
    """
    maps = [_Map(affine_coupling(event.dims, hidden)) for _ in range(layers)]
    return library_flow(event, FlowSequential(*maps))
