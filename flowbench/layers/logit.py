"""Logit: from the unit interval to the real line."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from flowbench.core import FlowModule, sum_event

# Below it, float32 rounds 1 - α to a number whose logit is off by several percent, and at last to 1.
LEAST_ALPHA = 1e-6


class Logit(FlowModule):
    """z = logit(α + (1 - 2α) x) for x in [0, 1] (Dinh et al. 2017, 1605.08803, section 4.1).

    Its log-determinant Σ [log(1-2α) - log y - log(1-y)], y = α + (1-2α)x, makes bits per dim
    right in data space, with no constant added by hand.

    Args:
        alpha: α in [10⁻⁶, ½), which keeps the logit finite at 0 and 1 in float32.

    Raises:
        ValueError: α lies outside of that interval.

    Example:
        >>> import torch
        >>> z, logdet = Logit(0.05).encode(torch.tensor([[0.0, 0.5, 1.0]]))
        >>> [round(value, 4) for value in z[0].tolist()], logdet.shape
        ([-2.9444, 0.0, 2.9444], torch.Size([1]))
    """

    domain = (0.0, 1.0)

    def __init__(self, alpha: float):
        super().__init__()
        if not LEAST_ALPHA <= alpha < 0.5:
            raise ValueError(f"alpha must be at least {LEAST_ALPHA:g} and below 0.5, got {alpha}")
        self.alpha = alpha

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.alpha + (1 - 2 * self.alpha) * x
        z = torch.logit(y)
        return z, -self._logdet_decode(z)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = (torch.sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return x, self._logdet_decode(z)

    def _logdet_decode(self, z: Tensor) -> Tensor:
        # log σ'(z) = log σ(z) + log σ(-z), which stays accurate where σ itself rounds to 0 or 1.
        return sum_event(logsigmoid(z) + logsigmoid(-z) - math.log1p(-2 * self.alpha))


def examples():
    return {"vector": (Logit(0.05), (5,)), "image": (Logit(1e-3), (1, 4, 4))}
