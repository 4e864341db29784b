"""Affine autoregressive map, the layer of MAF and, turned round, of IAF."""

import torch
from torch import Tensor

from flowbench.core import FlowModule, soft_clamp
from flowbench.networks.made import MADE


class MaskedAutoregressive(FlowModule):
    """z_i = (x_i - μ_i(x_<i)) exp(-s_i(x_<i)) (Papamakarios et al. 2017, 1705.07057, equation 4).

    `encode` is one pass of the network. `decode` finds one feature after another; since a hidden unit depends
    only on the features up to its degree, each unit is computed once, and all D features together cost the
    arithmetic of about one pass. Inside `flowbench.core.Inverse` this is the layer of IAF.

    Args:
        network: a `MADE` with two outputs a feature, the log-scale s and the shift μ.
        scale_limit: bound of ``|s|``, reached softly.
    """

    def __init__(self, network: MADE, *, scale_limit: float = 3.0):
        super().__init__()
        self.network = network
        self.scale_limit = scale_limit

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(x)
        log_scale, shift = soft_clamp(outputs[..., 0], self.scale_limit), outputs[..., 1]
        return (x - shift) * torch.exp(-log_scale), -log_scale.sum(1)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        log_scales = []

        def next_feature(i: int, outputs: Tensor) -> Tensor:
            log_scale, shift = soft_clamp(outputs[:, 0], self.scale_limit), outputs[:, 1]
            log_scales.append(log_scale)
            return z[:, i] * torch.exp(log_scale) + shift

        x = self.network.unroll(next_feature, len(z))
        return x, torch.stack(log_scales, 1).sum(1)


def examples():
    return {
        "vector": (MaskedAutoregressive(MADE(5, [16, 16], outputs=2)), (5,)),
        "fewer hidden units than features": (MaskedAutoregressive(MADE(6, [3], outputs=2)), (6,)),
        "scalar": (MaskedAutoregressive(MADE(1, [4], outputs=2)), (1,)),
    }
