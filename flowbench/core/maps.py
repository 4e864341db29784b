"""The contract of an invertible map, and chains of maps.

Throughout, *encode* goes from data to latent and *decode* from latent to data. A log-determinant belongs to the
direction that returned it.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from flowbench.core.checks import Check, autograd_logdet, largest, worst_logdet
from flowbench.core.errors import NoSuchDirectionError
from flowbench.core.tensors import constant_logdet

# A learnt map is initialised with at most this many numbers.
_INITIALISATION_NUMBERS = 2**20


class FlowModule(nn.Module):
    """One invertible map between data and latent.

    Attributes:
        domain: the interval that each value of data must lie in; ``None`` for the real line.
        compilable: whether `torch.compile` can compile the map; not if its steps depend on what it finds.
    """

    domain: tuple[float, float] | None = None
    compilable: bool = True

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map data ``(batch, *event)`` to latent; return it and log|det ∂z/∂x|, ``(batch,)``, in nats."""
        raise NoSuchDirectionError(f"{type(self).__name__} has no encode")

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latent ``(batch, *event)`` to data; return it and log|det ∂x/∂z|, ``(batch,)``, in nats."""
        raise NoSuchDirectionError(f"{type(self).__name__} has no decode")

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        """Set data-dependent parameters from ``x`` ``(batch, *event)``; return enough latents for the next map.

        Called once, before the first training step. Most maps have nothing to set.
        """
        return self.encode(x)[0]

    def check(self, x: Tensor) -> Check:
        """Compare both directions with each other and with autograd, in float64, at the points ``x``.

        Costs O(batch · D²) memory and, for each direction, a backward pass through batch · D examples.
        """
        module = copy.deepcopy(self).double().eval()
        x = x.detach().double()
        with torch.no_grad():
            z, logdet_encode = module.encode(x)
            x_again, logdet_decode = module.decode(z)
            z_again, _ = module.encode(x_again)
        expected_encode, expected_decode = autograd_logdet(module.encode, x), autograd_logdet(module.decode, z)
        return Check(
            data_error=largest(x - x_again),
            latent_error=largest(z - z_again),
            logdet_encode_error=largest(logdet_encode - expected_encode),
            logdet_decode_error=largest(logdet_decode - expected_decode),
            logdet_sum_error=largest(logdet_encode + logdet_decode),
            encode_logdet=worst_logdet(expected_encode, logdet_encode),
            decode_logdet=worst_logdet(expected_decode, logdet_decode),
        )


class FlowSequential(FlowModule):
    """A chain of maps, listed from data to latent."""

    def __init__(self, *modules: FlowModule):
        super().__init__()
        self.chain = nn.ModuleList(modules)
        self.domain = modules[0].domain if modules else None

    def __getitem__(self, part: slice) -> FlowSequential:
        """A part of the chain, which shares its maps."""
        return FlowSequential(*self.chain[part])

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(x)
        for module in self.chain:
            x, term = module.encode(x)
            logdet = logdet + term
        return x, logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(z)
        for module in reversed(self.chain):
            z, term = module.decode(z)
            logdet = logdet + term
        return z, logdet

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        for module in self.chain:
            # Preprocessing takes the moments of all the data. A learnt map needs no more than a batch, and
            # more may not fit into memory.
            if next(module.parameters(), None) is not None:
                x = x[: max(1, _INITIALISATION_NUMBERS // x[0].numel())]
            x = module.initialise(x)
        return x


class Inverse(FlowModule):
    """A map with its two directions exchanged: its latent becomes the data."""

    def __init__(self, module: FlowModule):
        super().__init__()
        self.module = module

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.decode(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.encode(z)
