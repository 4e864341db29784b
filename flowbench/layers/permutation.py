"""Fixed permutations of the features."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.core import FlowModule, constant_logdet, require_shape


class Permutation(FlowModule):
    """z_i = x_{order[i]}, with log-determinant zero.

    Args:
        order: a permutation of 0 … D-1.

    Example:
        >>> import torch
        >>> layer = Permutation.reverse(3)
        >>> z, logdet = layer.encode(torch.tensor([[1.0, 2.0, 3.0]]))
        >>> z.tolist(), logdet.tolist()
        ([[3.0, 2.0, 1.0]], [0.0])
    """

    def __init__(self, order: Tensor):
        super().__init__()
        if not torch.equal(order.sort().values, torch.arange(len(order))):
            raise ValueError(f"not a permutation of 0 … {len(order) - 1}: {order.tolist()}")
        self.register_buffer("order", order)
        self.register_buffer("back", order.argsort())

    @classmethod
    def reverse(cls, dims: int) -> Permutation:
        """The permutation that reverses the order."""
        return cls(torch.arange(dims - 1, -1, -1))

    @classmethod
    def halves(cls, dims: int) -> Permutation:
        """The permutation that puts the second half before the first."""
        return cls(torch.arange(dims).roll(-(dims // 2)))

    @classmethod
    def random(cls, dims: int) -> Permutation:
        """A permutation drawn from torch's global random state."""
        return cls(torch.randperm(dims))

    def extra_repr(self) -> str:
        return f"dims={len(self.order)}, order={self.order[:8].tolist()}{'…' if len(self.order) > 8 else ''}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, (len(self.order), *x.shape[2:]))
        return x.index_select(1, self.order), constant_logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (len(self.order), *z.shape[2:]))
        return z.index_select(1, self.back), constant_logdet(z)


def examples():
    return {"reverse": (Permutation.reverse(5), (5,)), "halves": (Permutation.halves(5), (5,))}
