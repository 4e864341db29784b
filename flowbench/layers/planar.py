"""Planar map, with the inverse that has no closed form."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from flowbench.core import FlowModule, full_precision, require_shape
from flowbench.numerics.roots import invert

# Least distance of the slope wᵀû from -1, where the map stops being invertible; float32 needs one.
_MARGIN = 1e-4


class Planar(FlowModule):
    """z = x + û tanh(wᵀx + b) (Rezende & Mohamed 2015, 1505.05770, equation 10).

    û = u + (m(wᵀu) - wᵀu) w / ‖w‖² with m(a) = softplus(a) - 1 keeps wᵀû > -1, so that the map is invertible
    (ibid., appendix A.1); m here is larger by a margin, without which wᵀû would round to -1. `encode` is in
    closed form. `decode` solves a + wᵀû tanh(a) = wᵀz + b for the scalar a = wᵀx + b, which is monotone, by bisection
    to the precision of its floating point numbers.

    Args:
        dims: D.

    Example:
        >>> import torch
        >>> layer, x = Planar(2), torch.randn(7, 2)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 2]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-4)
        True
    """

    def __init__(self, dims: int):
        super().__init__()
        # A uniform direction; the length is fixed, since a tiny one would make û huge.
        weight = math.sqrt(dims) * normalize(torch.randn(dims), dim=0)
        self.weight = nn.Parameter(weight)
        # The slope wᵀû starts at about zero. At u = 0 it would be m(0) < 0, and a stack of such maps would squeeze
        # all mass into a point. From there it would learn a single mode.
        neutral = math.log(math.expm1(1 - _MARGIN))
        self.scale = nn.Parameter(neutral * weight / dims + 0.1 * torch.randn(dims))
        self.bias = nn.Parameter(torch.zeros(()))

    def extra_repr(self) -> str:
        return f"dims={len(self.weight)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.weight.shape)
        with full_precision(x):
            direction, slope = self._constrained()
            hidden = torch.tanh(x @ self.weight + self.bias)
            return x + hidden[:, None] * direction, self._logdet(slope, hidden)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.weight.shape)
        with full_precision(z):
            direction, slope = self._constrained()
            hidden = torch.tanh(preimage(slope, z @ self.weight + self.bias))
            return z - hidden[:, None] * direction, -self._logdet(slope, hidden)

    def _constrained(self) -> tuple[Tensor, Tensor]:
        """û ``(D,)`` and wᵀû ``()``."""
        product = self.weight @ self.scale
        slope = softplus(product) - (1 - _MARGIN)
        return self.scale + (slope - product) * self.weight / self.weight.square().sum(), slope

    @staticmethod
    def _logdet(slope: Tensor, hidden: Tensor) -> Tensor:
        # 1 + wᵀû tanh'(·), which the constraint keeps above zero.
        return torch.log1p(slope * (1 - hidden**2))


def preimage(slope: Tensor, target: Tensor) -> Tensor:
    """The a with a + slope · tanh(a) = target, ``(batch,)``, for a slope above -1."""
    reach = slope.abs()  # since |tanh| ≤ 1
    return invert(lambda a, slope: a + slope * torch.tanh(a), target, target - reach, target + reach, slope)


def examples():
    return {"vector": (Planar(5), (5,)), "scalar": (Planar(1), (1,))}
