"""The unit interval, in which dequantised data lies, onto the interval around zero that networks expect."""

import math

from torch import Tensor

from flowbench.core import FlowModule


class Centre(FlowModule):
    """z = 2 x - 1."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x - 1, x.new_full((len(x),), math.log(2) * x[0].numel())

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z + 1) / 2, z.new_full((len(z),), -math.log(2) * z[0].numel())


def examples():
    return {"vector": (Centre(), (5,)), "image": (Centre(), (2, 4, 4))}
