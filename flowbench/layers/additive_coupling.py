"""Additive coupling, the layer of NICE."""

from torch import Tensor, nn

from flowbench.core import FlowModule, constant_logdet, require_shape
from flowbench.layers._parts import join, split


class AdditiveCoupling(FlowModule):
    """One part passes unchanged, the other is shifted by a function of it: z₂ = x₂ + m(x₁).

    Preserves volume: the log-determinant is zero (Dinh et al. 2015, 1410.8516, section 3.2).

    Args:
        network: m, from ``(batch, kept)`` to ``(batch, changed)``; `coupling_parts` gives both sizes.
        swap: condition on the second part and shift the first.

    Example:
        >>> import torch
        >>> layer, x = AdditiveCoupling(torch.nn.Linear(2, 2)), torch.randn(7, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.tolist() == [0.0] * 7
        (torch.Size([7, 4]), True)
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-6)
        True
    """

    def __init__(self, network: nn.Module, *, swap: bool = False):
        super().__init__()
        self.network = network
        self.swap = swap

    def extra_repr(self) -> str:
        return f"swap={self.swap}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(x, self.swap)
        return join(kept, changed + self._shift(kept, changed), self.swap), constant_logdet(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(z, self.swap)
        return join(kept, changed - self._shift(kept, changed), self.swap), constant_logdet(z)

    def _shift(self, kept: Tensor, changed: Tensor) -> Tensor:
        shift = self.network(kept)
        require_shape(shift, changed.shape[1:])
        return shift


def examples():
    return {
        "even": (AdditiveCoupling(nn.Linear(2, 2)), (4,)),
        "odd": (AdditiveCoupling(nn.Linear(2, 3)), (5,)),
        "channels": (AdditiveCoupling(nn.Conv2d(2, 2, 3, padding=1)), (4, 2, 2)),
        "odd, swapped": (AdditiveCoupling(nn.Linear(3, 2), swap=True), (5,)),
    }
