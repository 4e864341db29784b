"""Affine coupling between the black and the white squares of a checkerboard."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape, soft_clamp, sum_event


class CheckerboardCoupling(FlowModule):
    """z = b ⊙ x + (1 - b) ⊙ (x ⊙ exp(s(b ⊙ x)) + t(b ⊙ x)), with b = 1 on one colour of a checkerboard.

    Dinh et al. 2017, 1605.08803, equation 9 and section 3.4: the coupling for images of few channels.

    Args:
        network: maps the kept pixels ``(batch, C, H, W)``, where the others are zero, to s and t side by side,
            ``(batch, 2C, H, W)``.
        shape: event shape (C, H, W).
        swap: keep the other squares.
        scale_limit: bound of ``|s|``, reached softly.

    Example:
        >>> import torch
        >>> layer = CheckerboardCoupling(torch.nn.Conv2d(1, 2, 3, padding=1), (1, 4, 4))
        >>> x = torch.randn(7, 1, 4, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 1, 4, 4]), torch.Size([7]))
        >>> int((z == x)[0].sum()) >= 8  # the squares of one colour stay as they are
        True
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...], *, swap: bool = False, scale_limit: float = 3.0):
        super().__init__()
        self.shape = shape
        self.swap = swap
        self.network = network
        self.scale_limit = scale_limit
        _, height, width = shape
        squares = (torch.arange(height)[:, None] + torch.arange(width)) % 2
        self.register_buffer("kept", (squares == swap).to(torch.get_default_dtype()), persistent=False)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, swap={self.swap}, scale_limit={self.scale_limit}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(x)
        return x * torch.exp(log_scale) + shift, sum_event(log_scale)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._scale_and_shift(z)
        return (z - shift) * torch.exp(-log_scale), -sum_event(log_scale)

    def _scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and t, which are both zero at the kept pixels."""
        require_shape(x, self.shape)
        kept = x * self.kept
        log_scale, shift = self.network(kept).to(kept.dtype).chunk(2, 1)
        changed = 1 - self.kept
        return changed * soft_clamp(log_scale, self.scale_limit), changed * shift


def examples():
    return {
        "image": (CheckerboardCoupling(nn.Conv2d(2, 4, 3, padding=1), (2, 4, 4)), (2, 4, 4)),
        "odd, swapped": (CheckerboardCoupling(nn.Conv2d(1, 2, 3, padding=1), (1, 3, 5), swap=True), (1, 3, 5)),
    }
