"""A map of the features of rows that have something else in front of them."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.core import FlowModule
from flowbench.layers.permutation import Permutation
from flowbench.layers.standardise import Standardise


class OnFeatures(FlowModule):
    """A map that knows nothing of a context, between maps that do: the context of each row passes unchanged.

    Args:
        module: the map of the features ``(batch, D)``.
        context: as many numbers stand before them in each row.

    Example:
        >>> import torch
        >>> layer = OnFeatures(Permutation.reverse(3), context=2)
        >>> layer.encode(torch.tensor([[0.0, 1.0, 7.0, 8.0, 9.0]]))[0].tolist()
        [[0.0, 1.0, 9.0, 8.0, 7.0]]
    """

    def __init__(self, module: FlowModule, context: int):
        super().__init__()
        self.module = module
        self.context = context
        self.domain, self.compilable = module.domain, module.compilable

    def extra_repr(self) -> str:
        return f"context={self.context}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z, logdet = self.module.encode(x[:, self.context :])
        return torch.cat((x[:, : self.context], z), 1), logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x, logdet = self.module.decode(z[:, self.context :])
        return torch.cat((z[:, : self.context], x), 1), logdet

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        z = self.module.initialise(x[:, self.context :])
        return torch.cat((x[: len(z), : self.context], z), 1)


def examples():
    return {
        "permutation": (OnFeatures(Permutation.reverse(3), context=2), (5,)),
        "standardise": (OnFeatures(Standardise((3,)), context=2), (5,)),
    }
