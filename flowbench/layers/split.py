"""Split: in the multi-scale architecture half of the channels become latent early."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, ShapeError, constant_logdet, require_shape, soft_clamp, sum_event
from flowbench.layers.flatten import Flatten


class Split(FlowModule):
    """Half of the channels go on through the remaining scales; the other half becomes latent here.

    z = (f(x₁), (x₂ - μ(x₁)) exp(-s(x₁))), side by side as one vector (Dinh et al. 2017, 1605.08803, section 3.6).
    Under a standard normal prior over that vector, N(μ(x₁), exp(s(x₁))²) is the learnt prior of x₂ in Glow (Kingma &
    Dhariwal 2018, 1807.03039), and each latent meets its prior once.

    Args:
        remaining: f, from the first channels ``(batch, C/2, H, W)`` to a vector ``(batch, D/2)``.
        shape: event shape (C, H, W).
        network: from the first channels to s and μ side by side, ``(batch, C, H, W)``; without it both are zero.
        scale_limit: bound of ``|s|``, reached softly.

    Raises:
        ShapeError: the number of channels is odd.

    Example:
        >>> import torch
        >>> layer, x = Split(Flatten((2, 4, 4)), (4, 4, 4)), torch.randn(7, 4, 4, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 64]), torch.Size([7]))
        >>> torch.equal(layer.decode(z)[0], x)
        True
    """

    def __init__(
        self,
        remaining: FlowModule,
        shape: tuple[int, ...],
        network: nn.Module | None = None,
        *,
        scale_limit: float = 3.0,
    ):
        super().__init__()
        if shape[0] % 2:
            raise ShapeError(f"split takes images (C, H, W) of an even number of channels, got {shape}")
        self.shape = shape
        self.half = (shape[0] // 2, *shape[1:])
        self.remaining = remaining
        self.network = network
        self.scale_limit = scale_limit

    def extra_repr(self) -> str:
        return f"shape={self.shape}, scale_limit={self.scale_limit}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shape)
        kept, leaving = x.chunk(2, 1)
        z_kept, logdet = self.remaining.encode(kept)
        z_leaving, term = self._leave(kept, leaving)
        return torch.cat((z_kept, z_leaving), 1), logdet + term

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (math.prod(self.shape),))
        z_kept, z_leaving = z.split((z.shape[1] - math.prod(self.half), math.prod(self.half)), 1)
        kept, logdet = self.remaining.decode(z_kept)
        leaving = z_leaving.reshape(len(z), *self.half)
        if self.network:
            log_scale, mean = self._prior(self.network, kept)
            leaving, logdet = leaving * torch.exp(log_scale) + mean, logdet + sum_event(log_scale)
        return torch.cat((kept, leaving), 1), logdet

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        kept, leaving = x.chunk(2, 1)
        return torch.cat((self.remaining.initialise(kept), self._leave(kept, leaving)[0]), 1)

    def _leave(self, kept: Tensor, leaving: Tensor) -> tuple[Tensor, Tensor]:
        """The latent vector of the channels that leave, ``(batch, D/2)``, and its log-determinant."""
        if not self.network:
            return leaving.flatten(1), constant_logdet(leaving)
        log_scale, mean = self._prior(self.network, kept)
        return ((leaving - mean) * torch.exp(-log_scale)).flatten(1), -sum_event(log_scale)

    def _prior(self, network: nn.Module, kept: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, mean = network(kept).to(kept.dtype).chunk(2, 1)
        return soft_clamp(log_scale, self.scale_limit), mean


def examples():
    return {
        "learnt prior": (Split(Flatten((2, 4, 4)), (4, 4, 4), nn.Conv2d(2, 4, 3, padding=1)), (4, 4, 4)),
        "nothing learnt": (Split(Flatten((1, 4, 4)), (2, 4, 4)), (2, 4, 4)),
    }
