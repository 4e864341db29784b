"""Pyro (Bingham et al. 2019, 1810.09538), by its own transforms and with its own defaults.

Its `affine_autoregressive` is left out: the inverse makes zeros in float32, so it cannot be certified in float64.
"""

from __future__ import annotations

from typing import Literal

from pyro.distributions import TransformModule
from pyro.distributions.transforms import affine_coupling
from torch import Tensor, nn

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.core.tensors import constant_logdet
from flowbench.flows._library import library_flow


class _Map(FlowModule):
    """Its transforms from latent to data, with the order of the features reversed between them."""

    def __init__(self, transforms: list[TransformModule]):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(x)
        for transform in reversed(self.transforms):
            z = transform._inverse(x)
            logdet = logdet - _logdet(transform, z, x)
            x = z.flip(-1)
        return x, logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(z)
        for transform in self.transforms:
            z = z.flip(-1)
            x = transform._call(z)
            logdet = logdet + _logdet(transform, z, x)
            z = x
        return z, logdet


def _logdet(transform: TransformModule, z: Tensor, x: Tensor) -> Tensor:
    logdet = transform.log_abs_det_jacobian(z, x)
    transform._cached_log_scale = None  # a part of the graph, which would keep the model from being copied
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
    return library_flow(event, _Map([affine_coupling(event.dims, hidden) for _ in range(layers)]))
