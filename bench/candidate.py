"""One library's version of a flow, as the benchmark times it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Candidate:
    """A flow of one library, with the weights of ours.

    Attributes:
        model: holds the parameters that a training step moves.
        loss: the mean loss of a batch ``(batch, *event)``, a scalar.
        log_prob: of data ``(batch, *event)``: ``(batch,)`` in nats; ``None`` where it is not compared.
        sample: draws that many examples; ``None`` where it is not compared.
    """

    model: nn.Module
    loss: Callable[[Tensor], Tensor]
    log_prob: Callable[[Tensor], Tensor] | None = None
    sample: Callable[[int], Tensor] | None = None

    @classmethod
    def density(
        cls, model: nn.Module, log_prob: Callable[[Tensor], Tensor], sample: Callable[[int], Tensor]
    ) -> Candidate:
        """A density, whose loss is the mean negative log-likelihood."""
        return cls(model, lambda x: -log_prob(x).mean(), log_prob, sample)

    def parameter_count(self) -> int:
        """How many numbers are learnt."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)


def log_standard_normal(z: Tensor) -> Tensor:
    """The log-density of vectors ``(batch, D)`` in nats, ``(batch,)``, where a library has no prior of its own."""
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))
