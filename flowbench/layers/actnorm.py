"""ActNorm: an affine map per channel, which starts by normalising its first batch."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, require_shape
from flowbench.layers._moments import moments, scale


class ActNorm(FlowModule):
    """z = (x + b) ⊙ exp(s) with one b and one s per channel (Kingma & Dhariwal 2018, 1807.03039, section 3.1).

    The channel is the first axis of the event; the remaining axes share its parameters. `initialise` gives each
    channel of the batch zero mean and unit variance. It is a separate call, not a flag in ``encode``: so a
    training step never waits for a flag, and a checkpoint cannot lose one.

    Args:
        shape: event shape.

    Example:
        >>> import torch
        >>> layer, x = ActNorm((3,)), 5 + 2 * torch.randn(100, 3)
        >>> z = layer.initialise(x)
        >>> z.mean(0).round(decimals=3).abs().tolist()
        [0.0, 0.0, 0.0]
        >>> again, logdet = layer.decode(z)
        >>> torch.allclose(again, x, atol=1e-5), logdet.shape
        (True, torch.Size([100]))
    """

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        parameter_shape = (shape[0],) + (1,) * (len(shape) - 1)
        self.shape = shape
        self.positions = int(torch.Size(shape[1:]).numel())
        self.log_scale = nn.Parameter(torch.zeros(parameter_shape))
        self.bias = nn.Parameter(torch.zeros(parameter_shape))

    def extra_repr(self) -> str:
        return f"shape={self.shape}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.shape)
        return (x + self.bias) * torch.exp(self.log_scale), self._logdet().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.shape)
        return z * torch.exp(-self.log_scale) - self.bias, -self._logdet().expand(len(z))

    def _logdet(self) -> Tensor:
        return self.log_scale.sum() * self.positions

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        require_shape(x, self.shape)
        # A constant feature, or a batch of one, is centred and not scaled.
        mean, std, step = moments(x.transpose(0, 1).flatten(1), 1)
        self.bias.copy_(-mean.view_as(self.bias))
        self.log_scale.copy_(-scale(std, step).log().view_as(self.log_scale))
        return self.encode(x)[0]


def examples():
    return {"vector": (ActNorm((5,)), (5,)), "image": (ActNorm((2, 4, 4)), (2, 4, 4))}
