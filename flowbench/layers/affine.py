"""Element-wise affine map: the warm-up."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape


class ElementwiseAffine(FlowModule):
    """x = z ⊙ exp(s) + t with one s and one t per feature.

    Over a standard normal prior this is the normal distribution with mean t and standard deviation exp(s).

    Example:
        >>> import torch
        >>> layer = ElementwiseAffine((2,))
        >>> _ = layer.load_state_dict({"shift": torch.tensor([1.0, 2.0]), "log_scale": torch.zeros(2)})
        >>> layer.decode(torch.zeros(1, 2))[0].tolist()
        [[1.0, 2.0]]
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))

    def extra_repr(self) -> str:
        return f"shape={tuple(self.shift.shape)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shift.shape)
        return (x - self.shift) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.shift.shape)
        return z * torch.exp(self.log_scale) + self.shift, self.log_scale.sum().expand(len(z))


def examples():
    return {"vector": (ElementwiseAffine((5,)), (5,)), "image": (ElementwiseAffine((2, 4, 4)), (2, 4, 4))}
