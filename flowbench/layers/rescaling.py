"""Diagonal rescaling: the last layer of NICE, whose couplings preserve volume."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape


class Rescaling(FlowModule):
    """z = x ⊙ exp(s) with one s per feature (Dinh et al. 2015, 1410.8516, section 3.3).

    Example:
        >>> import torch
        >>> layer = Rescaling((2,))
        >>> _ = layer.load_state_dict({"log_scale": torch.tensor([2.0, 3.0]).log()})
        >>> z, logdet = layer.encode(torch.ones(1, 2))
        >>> [round(value, 4) for value in z[0].tolist()], round(logdet.item(), 4)  # log 6
        ([2.0, 3.0], 1.7918)
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))

    def extra_repr(self) -> str:
        return f"shape={tuple(self.log_scale.shape)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.log_scale.shape)
        return x * torch.exp(self.log_scale), self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.log_scale.shape)
        return z * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(z))


def examples():
    return {"vector": (Rescaling((5,)), (5,)), "image": (Rescaling((2, 4, 4)), (2, 4, 4))}
