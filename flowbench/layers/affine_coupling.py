"""Affine coupling, the layer of RealNVP and Glow."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape, soft_clamp, sum_event
from flowbench.layers._parts import join, split


class AffineCoupling(FlowModule):
    """z₂ = x₂ ⊙ exp(s(x₁)) + t(x₁), while x₁ passes unchanged (Dinh et al. 2017, 1605.08803, equation 7).

    Args:
        network: maps the kept part ``(batch, kept, …)`` to s and t side by side, ``(batch, 2 · changed, …)``;
            `coupling_parts` gives both sizes. For images the parts are channels.
        swap: condition on the second part and change the first.
        context: as many numbers stand before the features of each row. They pass unchanged, and the network gets them
            in front of the kept part.
        scale_limit: bound of ``|s|``, reached softly.

    Example:
        >>> import torch
        >>> layer, x = AffineCoupling(torch.nn.Linear(2, 4)), torch.randn(7, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 4]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-5)
        True
    """

    def __init__(self, network: nn.Module, *, swap: bool = False, scale_limit: float = 3.0, context: int = 0):
        super().__init__()
        self.network = network
        self.swap = swap
        self.context = context
        self.scale_limit = scale_limit

    def extra_repr(self) -> str:
        return f"swap={self.swap}, scale_limit={self.scale_limit}, context={self.context}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(x, self.swap, self.context)
        log_scale, shift = self._scale_and_shift(kept, changed)
        return join(kept, changed * torch.exp(log_scale) + shift, self.swap, self.context), sum_event(log_scale)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(z, self.swap, self.context)
        log_scale, shift = self._scale_and_shift(kept, changed)
        return join(kept, (changed - shift) * torch.exp(-log_scale), self.swap, self.context), -sum_event(log_scale)

    def _scale_and_shift(self, kept: Tensor, changed: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(kept).to(kept.dtype)
        require_shape(outputs, (2 * changed.shape[1], *changed.shape[2:]))
        log_scale, shift = outputs.chunk(2, 1)
        return soft_clamp(log_scale, self.scale_limit), shift


def examples():
    return {
        "even": (AffineCoupling(nn.Linear(2, 4)), (4,)),
        "odd": (AffineCoupling(nn.Linear(2, 6)), (5,)),
        "channels": (AffineCoupling(nn.Conv2d(2, 4, 3, padding=1)), (4, 2, 2)),
        "odd, swapped": (AffineCoupling(nn.Linear(3, 4), swap=True), (5,)),
        "with a context": (AffineCoupling(nn.Linear(3 + 3, 4), swap=True, context=3), (3 + 5,)),
    }
