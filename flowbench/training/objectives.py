"""What a model is trained for: the loss that it defines on data, or closeness to an energy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from flowbench.config import PARAMS, ConfigError
from flowbench.core import FlowModel, FlowModule, Generator
from flowbench.numerics import roots
from flowbench.numerics.annealing import beta
from flowbench.runtime.seeding import seeded
from flowbench.training.batches import Batches

# Numbers of the validation split that go through a model at once: few enough for the activations of a deep one.
_VALIDATION_NUMBERS = 2**20


class Objective(Protocol):
    """A loss to descend, and one to choose the best weights by, both in the same unit."""

    def loss(self, step: int) -> Tensor:
        """Loss of training step ``step`` = 0, 1, …; draws its own batch."""

    def validation_loss(self, model: Generator) -> Tensor:
        """The same of ``model``, what is trained or its average, on what training never sees.

        Without gradients, and the same for the same weights.
        """

    def state(self) -> dict[str, Tensor]:
        """What the next step depends on besides its number, the weights and torch's random state."""

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""


class CompilationError(RuntimeError):
    """A model cannot be compiled; says why."""


def compiled(model: FlowModel, method: str) -> Callable:
    """A method of a model, compiled by torch at its first call for arguments of one shape.

    Raises:
        CompilationError: the method runs a map that cannot be compiled.
    """
    runs_map = getattr(type(model), method) is getattr(FlowModel, method)  # a regression in its place does not
    for part in model.modules():
        if runs_map and isinstance(part, FlowModule) and not part.compilable:
            raise CompilationError(f"{type(part).__name__} chooses its steps while it runs")
    roots.leave_to_python()
    # The models of the seeds before, in the same process, would count against the limit of recompilations.
    torch.compiler.reset()
    return torch.compile(getattr(model, method), dynamic=False)


class DataLoss:
    """`FlowModel.loss` on batches of data: the negative log-likelihood, or what a model puts in its place.

    Args:
        model: what is trained.
        batches: ``(batch, *event)`` each, on the model's device, without end.
        validation: ``(n, *event)``, on the same device.
        validation_seed: for the dequantisation noise of the validation split, and whatever else a loss draws.
        compile: whether torch compiles the loss of a batch.
    """

    def __init__(
        self,
        model: Generator,
        batches: Batches,
        validation: Tensor,
        validation_seed: int,
        *,
        compile: bool = False,
    ):
        self.batches = batches
        self.validation = validation
        self.validation_seed = validation_seed
        self._loss = compiled(model, "loss") if compile else model.loss

    def loss(self, step: int) -> Tensor:
        return self._loss(next(self.batches))

    def state(self) -> dict[str, Tensor]:
        return self.batches.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self.batches.restore(state)

    @torch.no_grad()
    def validation_loss(self, model: Generator) -> Tensor:
        at_once = max(1, _VALIDATION_NUMBERS // self.validation[0].numel())
        model.eval()
        with seeded(self.validation_seed):
            parts = [model.loss(part) * len(part) for part in self.validation.split(at_once)]
        model.train()
        return torch.stack(parts).sum() / len(self.validation)


class ReverseKL:
    """KL(model ‖ target) up to the target's normaliser: E_q[log q(x) - β log p(x)] over the model's samples.

    β grows from `beta` = 0.01 to 1 and lets the model spread before the energy pulls it together. Validation is at
    β = 1 with fixed noise.

    Args:
        model: what is trained.
        log_energy: log p up to a constant, ``(batch, *event)`` to ``(batch,)``.
        batch_size: samples a step.
        anneal_steps: of β.
        validation_seed: for the noise of the validation samples.
        compile: whether torch compiles the sampling.

    Raises:
        ConfigError: the prior's samples have no gradient, as those of a mixture.
    """

    validation_samples = 4096

    def __init__(
        self,
        model: FlowModel,
        log_energy: Callable[[Tensor], Tensor],
        batch_size: int,
        anneal_steps: int,
        validation_seed: int,
        *,
        compile: bool = False,
    ):
        if not model.prior().has_rsample:
            raise ConfigError(f"{PARAMS}: an energy needs a flow whose prior is reparametrised; choose prior: normal")
        self.log_energy = log_energy
        self.batch_size = batch_size
        self.anneal_steps = anneal_steps
        self.validation_seed = validation_seed
        self._draw = compiled(model, "sample_with_log_prob") if compile else model.sample_with_log_prob

    def loss(self, step: int) -> Tensor:
        return self._divergence(beta(step, self.anneal_steps), *self._draw(self.batch_size))

    @torch.no_grad()
    def validation_loss(self, model: Generator) -> Tensor:
        assert isinstance(model, FlowModel)
        with seeded(self.validation_seed):
            return self._divergence(1.0, *model.sample_with_log_prob(self.validation_samples))

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Nothing is kept: each batch is drawn anew."""

    def _divergence(self, beta: float, x: Tensor, log_prob: Tensor) -> Tensor:
        return (log_prob - beta * self.log_energy(x)).mean()
