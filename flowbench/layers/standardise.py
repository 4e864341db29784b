"""Standardisation of the features of the training data."""

import torch
from torch import Tensor

from flowbench.core import FlowModule, ResolutionError, require_shape
from flowbench.layers._moments import moments, scale

# One standard deviation must hold at least this many steps between neighbouring numbers.
_LEAST_STEPS = 10


class Standardise(FlowModule):
    """z = (x - mean) / std per feature, with moments that `initialise` takes from the training data.

    The moments are buffers: training does not change them, and a checkpoint holds them.

    Args:
        shape: event shape.

    Raises:
        ResolutionError: from `initialise`, if a feature's numbers are too coarse to show its spread.

    Example:
        >>> import torch
        >>> layer = Standardise((1,))
        >>> z = layer.initialise(torch.tensor([[1.0], [3.0]]))
        >>> z.tolist(), layer.decode(z)[0].tolist()
        ([[-1.0], [1.0]], [[1.0], [3.0]])
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("log_std", torch.zeros(shape))

    def extra_repr(self) -> str:
        return f"shape={tuple(self.mean.shape)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.mean.shape)
        return (x - self.mean) * torch.exp(-self.log_std), -self.log_std.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.mean.shape)
        return z * torch.exp(self.log_std) + self.mean, self.log_std.sum().expand(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        require_shape(x, self.mean.shape)
        mean, std, step = moments(x, 0)
        coarse = (std > 0) & (std < _LEAST_STEPS * step)
        if coarse.any():
            feature = int(coarse.flatten().nonzero()[0])
            about, spread, apart = (float(value.flatten()[feature]) for value in (mean, std, step))
            raise ResolutionError(
                f"feature {feature} has a standard deviation of {spread:g} about {about:g}, where its numbers are "
                f"{apart:g} apart; subtract a constant from it before it is stored"
            )
        self.mean.copy_(mean)
        # A constant feature is centred and not scaled.
        self.log_std.copy_(scale(std, step).log())
        return self.encode(x)[0]


def examples():
    return {"vector": (Standardise((5,)), (5,)), "image": (Standardise((2, 4, 4)), (2, 4, 4))}
