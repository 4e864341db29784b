"""Spline coupling, the layer of neural spline flows."""

from __future__ import annotations

from torch import Tensor, nn

from flowbench.core import FlowModule, full_precision, require_shape, sum_event
from flowbench.layers._parts import join, split
from flowbench.layers._univariate import RationalQuadratic
from flowbench.networks.mlp import mlp


class SplineCoupling(FlowModule):
    """Each of x₂ goes through a spline that depends on x₁, which stays as it is (Durkan et al. 2019, 1906.04032).

    Args:
        network: maps the kept part ``(batch, kept)`` to the splines' parameters,
            ``(batch, changed · spline.parameters)``; `coupling_parts` gives the sizes of both parts.
        spline: the number of bins and the interval that it bends.
        swap: condition on the second part and change the first.
        context: as many numbers stand before the features of each row. They pass unchanged, and the network gets them
            in front of the kept part.

    Example:
        >>> import torch
        >>> spline = RationalQuadratic(bins=4)
        >>> layer, x = SplineCoupling(torch.nn.Linear(2, 2 * spline.parameters), spline), torch.randn(7, 4)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 4]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-4)
        True
    """

    def __init__(self, network: nn.Module, spline: RationalQuadratic, *, swap: bool = False, context: int = 0):
        super().__init__()
        self.network = network
        self.spline = spline
        self.swap = swap
        self.context = context

    def extra_repr(self) -> str:
        return f"spline={self.spline}, swap={self.swap}, context={self.context}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(x, self.swap, self.context)
        z, log_slope = self.spline.encode(changed, self._outputs(kept, changed))
        return join(kept, z, self.swap, self.context), sum_event(log_slope)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = split(z, self.swap, self.context)
        x, log_slope = self.spline.decode(changed, self._outputs(kept, changed))
        return join(kept, x, self.swap, self.context), sum_event(log_slope)

    def _outputs(self, kept: Tensor, changed: Tensor) -> Tensor:
        """``(batch, changed, parameters)``. The slope of a spline depends too strongly on them to round them."""
        with full_precision(kept):
            outputs = self.network(kept)
        require_shape(outputs, (changed.shape[1] * self.spline.parameters,))
        return outputs.unflatten(1, (changed.shape[1], self.spline.parameters))


def examples():
    def layer(dims: int, swap: bool, context: int = 0) -> SplineCoupling:
        spline = RationalQuadratic(bins=5, bound=2.0)
        kept = dims - dims // 2 if swap else dims // 2
        network = mlp(context + kept, [8], (dims - kept) * spline.parameters)
        return SplineCoupling(network, spline, swap=swap, context=context)

    return {
        "even": (layer(4, False), (4,)),
        "odd": (layer(5, False), (5,)),
        "odd, swapped": (layer(5, True), (5,)),
        "with a context": (layer(5, False, context=3), (3 + 5,)),
    }
