"""Exponential moving average of a model's weights."""

from __future__ import annotations

import copy

from torch.optim.swa_utils import get_ema_multi_avg_fn

from flowbench.core import Generator


class MovingAverage:
    """Exponential moving average of a model's parameters.

    At step t = 1, 2, … it keeps the share min(decay, (1 + t) / (10 + t)) of itself: a short training, which ``decay``
    alone would hold at its initial weights, is averaged over about its last ninth.

    The arithmetic is torch's. Its `AveragedModel` would count the steps in a tensor, and a GPU wait at each of them.

    Args:
        model: what is trained, with its initial weights.
        decay: the share of itself that a long average keeps at each step, below one.

    Attributes:
        model: a model with the averaged parameters; its buffers are those of the original.
    """

    def __init__(self, model: Generator, decay: float):
        self.decay = decay
        self.model = copy.deepcopy(model, memo={id(buffer): buffer for buffer in model.buffers()})
        self._values, self._averages = list(model.parameters()), list(self.model.parameters())

    def update(self, step: int) -> None:
        """Take in the parameters after step ``step`` = 1, 2, …."""
        update = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))
        update(self._averages, self._values, step)
