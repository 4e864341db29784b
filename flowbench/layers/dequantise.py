"""Uniform dequantisation: from grey levels to the unit interval."""

import math

import torch
from torch import Tensor

from flowbench.core import FlowModule, constant_logdet, require_levels

# With more levels a bin would hold too few numbers of float32.
_MOST_LEVELS = 2**20


class Dequantise(FlowModule):
    """x = (k + u) / K for grey level k in 0 … K-1 and u uniform on [0, 1) (Theis et al. 2016, 1511.01844).

    The expected log-density of x, less D log K, bounds the log-probability of the levels from below. The noise
    comes from torch's global random state, so this is no bijection. `decode` rounds down to the level again, and
    returns exactly the levels that `encode` was given, whatever the noise.

    Args:
        levels: K. The divisor is K and not K - 1: the unit interval holds K bins.

    Raises:
        ValueError: K is not between 1 and 2²⁰, or `encode` gets numbers that are no grey levels.

    Example:
        >>> import torch
        >>> layer, levels = Dequantise(256), torch.tensor([[0, 128, 255]])
        >>> x, logdet = layer.encode(levels)
        >>> bool((0 <= x).all() and (x < 1).all()), round(float(logdet), 4)
        (True, -16.6355)
        >>> layer.decode(x)[0].tolist()
        [[0.0, 128.0, 255.0]]
    """

    def __init__(self, levels: int):
        super().__init__()
        if not 1 <= levels <= _MOST_LEVELS:
            raise ValueError(f"expected 1 to {_MOST_LEVELS:,} grey levels, got {levels:,}")
        self.levels = levels

    def extra_repr(self) -> str:
        return f"levels={self.levels}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_levels(x, self.levels, wait=not self.training)
        x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        y = (x + torch.rand_like(x)) / self.levels
        # Rounding may move a value just across an end of its bin. Two units in the last place bring it back.
        y = y * (1 + 2 * torch.finfo(y.dtype).eps * (x - self._bin(y)))
        return y, constant_logdet(x, -math.log(self.levels))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self._bin(z).clamp(0, self.levels - 1), constant_logdet(z, math.log(self.levels))

    def _bin(self, z: Tensor) -> Tensor:
        # In float64 the product of a number of float32 and K is exact.
        return z.double().mul(self.levels).floor_().to(z.dtype)


def examples():
    """None: it is random, so it has tests of its own."""
    return {}
