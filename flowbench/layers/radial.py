"""Radial map."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowbench.core import FlowModule, full_precision, require_shape

# Least distance of β/α from -1, where the map stops being invertible; float32 needs one.
_MARGIN = 1e-4
# softplus of this is one, at which α = 1.
_ONE = math.log(math.expm1(1))


class Radial(FlowModule):
    """z = x + β (x - c) / (α + r) with r = ‖x - c‖ (Rezende & Mohamed 2015, 1505.05770, equation 14).

    α = softplus(a) > 0. β = α m(b) with m(b) = softplus(b) - 1 keeps β > -α, so that the map is invertible (ibid.,
    appendix A.2); m here is larger by a margin, without which β/α would round to -1. Both directions are in closed
    form: z is on the ray from c through x, and its distance R = r + β r / (α + r) is a quadratic equation for r.

    Args:
        dims: D.

    Example:
        >>> import torch
        >>> layer, x = Radial(2), torch.randn(7, 2)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 2]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-4)
        True
    """

    def __init__(self, dims: int):
        super().__init__()
        self.centre = nn.Parameter(torch.randn(dims))
        self.width = nn.Parameter(torch.tensor(_ONE))
        # β starts at about zero. At b = 0 it would be m(0) < 0, and a stack of such maps would squeeze all mass.
        neutral = math.log(math.expm1(1 - _MARGIN))
        self.strength = nn.Parameter(neutral + 0.1 * torch.randn(()))

    def extra_repr(self) -> str:
        return f"dims={len(self.centre)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.centre.shape)
        with full_precision(x):
            alpha, strength = self._constrained()
            offset = x - self.centre
            share = alpha / (alpha + _length(offset))
            return x + (strength * share)[:, None] * offset, self._logdet(strength, share)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.centre.shape)
        with full_precision(z):
            alpha, strength = self._constrained()
            offset = z - self.centre
            share = alpha / (alpha + self._solve(alpha, strength, _length(offset)))
            # x - c = (z - c) / (1 + β / (α + r)), written as a displacement: far away it is small.
            pull = strength * share / (1 + strength * share)
            return z - pull[:, None] * offset, -self._logdet(strength, share)

    def _constrained(self) -> tuple[Tensor, Tensor]:
        """α and β/α, ``()`` each."""
        return softplus(self.width), softplus(self.strength) - (1 - _MARGIN)

    def _logdet(self, strength: Tensor, share: Tensor) -> Tensor:
        """Of D - 1 directions across the ray, and of the one along it; ``share`` is α / (α + r), ``(batch,)``."""
        across, along = torch.log1p(strength * share), torch.log1p(strength * share**2)
        return (len(self.centre) - 1) * across + along

    @staticmethod
    def _solve(alpha: Tensor, strength: Tensor, distance: Tensor) -> Tensor:
        """The r ≥ 0 with r + β r / (α + r) = R: r² + (α + β - R) r - α R = 0, ``(batch,)``."""
        half = (distance - alpha * (1 + strength)) / 2
        size = half.detach().abs().clamp(min=1)  # whose square may overflow
        root = size * ((half / size) ** 2 + alpha * distance / size / size).sqrt()
        # Of the two forms of the root, each is the one without a difference of near numbers on its side of zero.
        above = half > 0
        return torch.where(above, half + root, alpha * distance / torch.where(above, root, root - half))


def _length(x: Tensor) -> Tensor:
    """Of vectors ``(batch, D)``, ``(batch,)``; the squares of large numbers would overflow."""
    size = x.detach().abs().amax(1, keepdim=True).clamp(min=1)
    return size[:, 0] * torch.linalg.vector_norm(x / size, dim=1)


def examples():
    return {"vector": (Radial(5), (5,)), "scalar": (Radial(1), (1,))}
