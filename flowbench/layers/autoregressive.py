"""Autoregressive map: the layer of MAF and, with its directions exchanged, of IAF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from flowbench.core import FlowModule, full_precision, require_last_derivative, require_shape
from flowbench.layers._univariate import Affine, MixtureOfGaussians, RationalQuadratic, Univariate
from flowbench.networks.made import MADE


class MaskedAutoregressive(FlowModule):
    """z_i = h(x_i; θ_i(x_<i)) for an increasing h (Papamakarios et al. 2017, 1705.07057, equation 4: an affine one).

    `encode` is one pass of the network. `decode` finds one feature after another. A hidden unit depends only
    on the features up to its degree, so each unit is computed once, and all D features together cost about as much
    arithmetic as one pass. Inside `flowbench.core.Inverse` this is the layer of IAF.

    Both directions compute in the precision of the weights, also under autocast: `decode` adds up the network's sums in
    another order than `encode`, and after rounding to bfloat16 the two would be different maps. Gradients of `decode`
    cannot be differentiated again.

    Args:
        features: D.
        hidden: sizes of the hidden layers of the `MADE` that gives θ.
        univariate: the map h; affine if left out.
        context: as many numbers stand before the features of each row. They pass unchanged, and every θ
            depends on them.

    Example:
        >>> import torch
        >>> layer, x = MaskedAutoregressive(3, [16]), torch.randn(7, 3)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 3]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-5)
        True
    """

    def __init__(self, features: int, hidden: Sequence[int], univariate: Univariate | None = None, *, context: int = 0):
        super().__init__()
        self.univariate = univariate or Affine()
        self.context = context
        self.network = MADE(features, hidden, outputs=self.univariate.parameters, context=context)

    def extra_repr(self) -> str:
        return f"univariate={self.univariate}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(x):
            z, log_slope = self.univariate.encode(self._features(x), self.network(x))
            return self._rows(x, z), log_slope.sum(1)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (self.context + self.network.features,))
        latent = self._features(z)

        def next_feature(i: int, outputs: Tensor) -> Tensor:
            return self.univariate.decode(latent[:, i], outputs)[0]

        with full_precision(z):
            x, hidden = self.network.unroll(next_feature, z)
            if torch.is_grad_enabled():
                at = self._rows(z, self._features(x))  # the solution depends on the context, too
                residual = latent - self._features(self.encode(at)[0])
                x = self._rows(z, self._features(x) + _ImplicitGradient.apply(residual, self, x, hidden))
            return x, -self.encode(x)[1]

    def _features(self, rows: Tensor) -> Tensor:
        return rows[:, self.context :] if self.context else rows

    def _rows(self, rows: Tensor, features: Tensor) -> Tensor:
        """``features`` behind the context of ``rows``."""
        return torch.cat((rows[:, : self.context], features), 1) if self.context else features


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
        require_last_derivative("the inverse of an autoregressive layer")
        layer = ctx.layer
        with torch.no_grad():
            outputs = layer.network(ctx.x)
        with torch.enable_grad():
            z, log_slope = layer.univariate.encode(layer._features(ctx.x), outputs.requires_grad_())
            # Each z_i has outputs of its own, so the gradient of their sum holds the derivative of each.
            (slopes,) = torch.autograd.grad(z.sum(), outputs)
        w = layer.network.solve_transposed(ctx.hidden, slopes, log_slope.detach().exp(), gradients[0])
        return w, None, None, None


def examples():
    return {
        "vector": (MaskedAutoregressive(5, [16, 16]), (5,)),
        "fewer hidden units than features": (MaskedAutoregressive(6, [3]), (6,)),
        "one hidden layer": (MaskedAutoregressive(4, [8]), (4,)),
        "no hidden layer": (MaskedAutoregressive(4, []), (4,)),
        "scalar": (MaskedAutoregressive(1, [4]), (1,)),
        "splines": (MaskedAutoregressive(5, [16], RationalQuadratic()), (5,)),
        "mixtures": (MaskedAutoregressive(5, [16], MixtureOfGaussians(3)), (5,)),
        "with a context": (MaskedAutoregressive(5, [16, 16], context=3), (3 + 5,)),
        "no hidden layer, with a context": (MaskedAutoregressive(4, [], context=2), (2 + 4,)),
        "scalar, with a context": (MaskedAutoregressive(1, [4], context=2), (2 + 1,)),
    }
