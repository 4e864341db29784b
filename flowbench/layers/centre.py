"""From the unit interval, where dequantised data lies, to [-1, 1], where networks expect it."""

import math

from torch import Tensor

from flowbench.core import FlowModule, constant_logdet


class Centre(FlowModule):
    """z = 2 x - 1.

    Example:
        >>> import torch
        >>> z, logdet = Centre().encode(torch.tensor([[0.0, 0.5, 1.0]]))
        >>> z.tolist(), round(float(logdet), 4)
        ([[-1.0, 0.0, 1.0]], 2.0794)
    """

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2.0 * x - 1.0, constant_logdet(x, math.log(2))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z + 1) / 2, constant_logdet(z, -math.log(2))


def examples():
    return {"vector": (Centre(), (5,)), "image": (Centre(), (2, 4, 4))}
