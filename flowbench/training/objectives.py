"""What a model is trained for: the likelihood of data, or closeness to an energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from flowbench.core import FlowModel, seeded


class Objective(Protocol):
    """A loss to descend, and one to choose the best weights by, both in nats."""

    def loss(self, step: int) -> Tensor:
        """Loss of training step ``step`` = 0, 1, …; draws its own batch."""

    def validation_loss(self) -> Tensor:
        """The same on what training never sees; without gradients, and the same for the same weights."""


class MaximumLikelihood:
    """`FlowModel.loss` on batches of data, drawn epoch by epoch without replacement.

    Args:
        model: what is trained.
        train, validation: ``(n, *event)``, on the model's device.
        batch_size: examples a step; data sets that are smaller are used whole.
        validation_seed: for the dequantisation noise of the validation split.
    """

    def __init__(self, model: FlowModel, train: Tensor, validation: Tensor, batch_size: int, validation_seed: int):
        self.model = model
        self.train, self.validation = train, validation
        self.batch_size = min(batch_size, len(train))
        self.validation_seed = validation_seed
        self._order = torch.empty(0, dtype=torch.long)
        self._used = 0

    def loss(self, step: int) -> Tensor:
        if self._used + self.batch_size > len(self._order):
            self._order = torch.randperm(len(self.train)).to(self.train.device)
            self._used = 0
        batch = self.train[self._order[self._used : self._used + self.batch_size]]
        self._used += self.batch_size
        return self.model.loss(batch)

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        self.model.eval()
        with seeded(self.validation_seed):
            parts = [self.model.loss(part) * len(part) for part in self.validation.split(5000)]
        self.model.train()
        return torch.stack(parts).sum() / len(self.validation)


class ReverseKL:
    """KL(model ‖ target) up to the target's normaliser: E_q[log q(x) - β log p(x)] over the model's samples.

    β = min(1, 0.01 + step / anneal_steps) lets the model spread before the energy pulls it together (Rezende &
    Mohamed 2015, 1505.05770, section 6.1). Validation is at β = 1 with fixed noise.

    Args:
        model: what is trained.
        log_energy: log p up to a constant, ``(batch, *event)`` to ``(batch,)``.
        batch_size: samples a step.
        anneal_steps: of β.
        validation_seed: for the noise of the validation samples.

    Raises:
        ValueError: the prior's samples have no gradient, as those of a mixture.
    """

    validation_samples = 4096

    def __init__(
        self,
        model: FlowModel,
        log_energy: Callable[[Tensor], Tensor],
        batch_size: int,
        anneal_steps: int,
        validation_seed: int,
    ):
        if not model.prior().has_rsample:
            raise ValueError("reverse KL needs a prior that is reparametrised; choose `prior: normal`")
        self.model = model
        self.log_energy = log_energy
        self.batch_size = batch_size
        self.anneal_steps = anneal_steps
        self.validation_seed = validation_seed

    def loss(self, step: int) -> Tensor:
        return self._divergence(self.batch_size, min(1.0, 0.01 + step / self.anneal_steps))

    @torch.no_grad()
    def validation_loss(self) -> Tensor:
        with seeded(self.validation_seed):
            return self._divergence(self.validation_samples, 1.0)

    def _divergence(self, samples: int, beta: float) -> Tensor:
        x, log_prob = self.model.sample_with_log_prob(samples)
        return (log_prob - beta * self.log_energy(x)).mean()
