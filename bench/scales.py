"""The multi-scale architecture around the maps of another library.

The libraries differ in what a scale leaves behind: none has our prior of it, which is learnt and depends on what goes
on. So the frame is ours for all of them, and all that is inside a scale is theirs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.candidate import Candidate, log_standard_normal
from flowbench.core import FlowModel, FlowModule, FlowSequential, soft_clamp
from flowbench.layers.flatten import Flatten
from flowbench.layers.split import Split

Make = Callable[[FlowModule], nn.Module]


class Scales(nn.Module):
    """The maps of one scale, and those of the scales below it.

    Args:
        ours: the chain of one scale, which ends with a `Split` or, at the last scale, a `Flatten`.
        make: their version of one of our maps.
        encode, decode: the names of their methods from data to latent and back.
    """

    def __init__(self, ours: FlowSequential, make: Make, encode: str, decode: str):
        super().__init__()
        *maps, last = ours.chain
        self.maps = nn.ModuleList(make(layer) for layer in maps)
        self.names = encode, decode
        self.below, self.network, self.shape = None, None, last.shape
        if isinstance(last, Split):
            self.below = Scales(last.remaining, make, encode, decode)
            self.network = network(last.network)
        else:
            assert isinstance(last, Flatten)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = x.new_zeros(len(x))
        for layer in self.maps:
            x, term = getattr(layer, self.names[0])(x)
            logdet = logdet + term
        if self.below is None:
            return x.flatten(1), logdet
        kept, leaving = x.chunk(2, 1)
        log_scale, mean = self._prior(kept)
        z, term = self.below.encode(kept)
        leaving = ((leaving - mean) * torch.exp(-log_scale)).flatten(1)
        return torch.cat((z, leaving), 1), logdet + term - log_scale.flatten(1).sum(1)

    def decode(self, z: Tensor) -> Tensor:
        if self.below is None:
            x = z.view(len(z), *self.shape)
        else:
            half = math.prod(self.shape) // 2
            kept = self.below.decode(z[:, : z.shape[1] - half])
            log_scale, mean = self._prior(kept)
            x = torch.cat((kept, z[:, -half:].view_as(kept) * torch.exp(log_scale) + mean), 1)
        for layer in reversed(self.maps):
            x, _ = getattr(layer, self.names[1])(x)
        return x

    def _prior(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, mean = self.network(kept).chunk(2, 1)
        return soft_clamp(log_scale, 3.0), mean


def density(ours: FlowModel, make: Make, *, encode: str, decode: str) -> Candidate:
    """A density under a standard normal prior, with their maps in the place of ours."""
    model, dims = Scales(ours.transform, make, encode, decode), math.prod(ours.event_shape)

    def log_prob(x: Tensor) -> Tensor:
        z, logdet = model.encode(x)
        return log_standard_normal(z) + logdet

    return Candidate.density(model, log_prob, lambda n: model.decode(torch.randn(n, dims)))


def network(ours: nn.Module) -> nn.Module:
    """Our network as it is, where a library leaves the network to its user."""
    return copy.deepcopy(ours)
