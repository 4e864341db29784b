"""Affine autoregressive map: the layer of MAF and, with its directions exchanged, of IAF."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flowbench.core import FlowModule, full_precision, soft_clamp
from flowbench.networks.made import MADE


class MaskedAutoregressive(FlowModule):
    """z_i = (x_i - μ_i(x_<i)) exp(-s_i(x_<i)) (Papamakarios et al. 2017, 1705.07057, equation 4).

    `encode` is one pass of the network. `decode` finds one feature after another. A hidden unit depends only
    on the features up to its degree, so each unit is computed once, and all D features together cost about as much
    arithmetic as one pass. Inside `flowbench.core.Inverse` this is the layer of IAF.

    Both directions compute in the precision of the weights, also under autocast: `decode` adds up the network's sums in
    another order than `encode`, and after rounding to bfloat16 the two would be different maps.

    Args:
        network: a `MADE` with two outputs for each feature: the log-scale s and the shift μ.
        scale_limit: bound of ``|s|``, reached softly.

    Example:
        >>> import torch
        >>> layer, x = MaskedAutoregressive(MADE(3, [16], outputs=2)), torch.randn(7, 3)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 3]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-5)
        True
    """

    def __init__(self, network: MADE, *, scale_limit: float = 3.0):
        super().__init__()
        self.network = network
        self.scale_limit = scale_limit

    def extra_repr(self) -> str:
        return f"scale_limit={self.scale_limit}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(x):
            outputs = self.network(x)
            log_scale, shift = soft_clamp(outputs[..., 0], self.scale_limit), outputs[..., 1]
            return (x - shift) * torch.exp(-log_scale), -log_scale.sum(1)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        def next_feature(i: int, outputs: Tensor) -> Tensor:
            log_scale, shift = soft_clamp(outputs[:, 0], self.scale_limit), outputs[:, 1]
            return z[:, i] * torch.exp(log_scale) + shift

        with full_precision(z):
            x, hidden = self.network.unroll(next_feature, z)
            if torch.is_grad_enabled():
                x = x + _ImplicitGradient.apply(z - self.encode(x)[0], self, x, hidden)
            return x, soft_clamp(self.network(x)[..., 0], self.scale_limit).sum(1)


class _ImplicitGradient(torch.autograd.Function):
    """Gives the solution x of encode(x) = z its derivatives, by the implicit function theorem.

    With J = ∂encode/∂x, dx = J⁻¹ (dz - ∂encode/∂θ dθ). The argument has the bracket as its differential, since it
    is z - encode(x) at a detached x, so backward is left with Jᵀ w = g. The value is zero: x is known already.
    """

    @staticmethod
    def forward(ctx: Any, residual: Tensor, layer: MaskedAutoregressive, x: Tensor, hidden: list[Tensor]) -> Tensor:
        ctx.layer, ctx.x, ctx.hidden = layer, x, hidden
        return torch.zeros_like(residual)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        layer = ctx.layer
        with torch.no_grad():
            outputs = layer.network(ctx.x)
            log_scale = soft_clamp(outputs[..., 0], layer.scale_limit)
            inverse_scale = torch.exp(-log_scale)
            z = (ctx.x - outputs[..., 1]) * inverse_scale
            clamp_slope = 1 - (log_scale / layer.scale_limit) ** 2
            slopes = torch.stack((-z * clamp_slope, -inverse_scale), -1)
        return layer.network.solve_transposed(ctx.hidden, slopes, inverse_scale, gradients[0]), None, None, None


def examples():
    return {
        "vector": (MaskedAutoregressive(MADE(5, [16, 16], outputs=2)), (5,)),
        "fewer hidden units than features": (MaskedAutoregressive(MADE(6, [3], outputs=2)), (6,)),
        "one hidden layer": (MaskedAutoregressive(MADE(4, [8], outputs=2)), (4,)),
        "no hidden layer": (MaskedAutoregressive(MADE(4, [], outputs=2)), (4,)),
        "scalar": (MaskedAutoregressive(MADE(1, [4], outputs=2)), (1,)),
    }
