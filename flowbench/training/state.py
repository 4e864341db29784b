"""What a training is made of between two steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from flowbench.config import TrainBudget
from flowbench.core import Generator
from flowbench.records.training import HistoryRow, Status
from flowbench.training.adam import Adam
from flowbench.training.average import MovingAverage
from flowbench.training.objectives import Objective


@dataclass
class Outcome:
    """What one training came to.

    Attributes:
        status: ``finished``; ``diverged`` if a loss was not finite; ``failed`` if an equation could not be solved.
        weights: state of the model, or of its moving average, where the validation loss was lowest.
        history: rows of step, loss (mean since the row before), validation loss or ``None``, learning rate.
        best_step, best_validation_loss: where the weights come from.
        diverged_at: step of the first row whose loss was not finite.
        reason: why it failed.
        snapshots: what was taken of the model, by step.
        seconds: of training and validation, as `flowbench.runtime.device.clock` has them.
        resumed_at: the step that it went on from, after a kill.
    """

    status: Status = "finished"
    weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    best_step: int = 0
    best_validation_loss: float = math.inf
    diverged_at: int | None = None
    reason: str = ""
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    resumed_at: int = 0


class TrainingState:
    """A model with all that changes while it learns; it can be packed, and go on from what was packed.

    Args:
        model: trained in place.
        objective: what is minimised.
        budget: steps, learning rate and so on.

    Attributes:
        parameters: of the model, on ``device``.
        average: of the weights, if the budget asks for one.
        kept: the average or, without one, the model.
        outcome: so far.
    """

    def __init__(self, model: Generator, objective: Objective, budget: TrainBudget):
        self.model, self.objective = model, objective
        self.parameters = list(model.parameters())
        self.device = self.parameters[0].device
        self.average = MovingAverage(model, budget.ema_decay) if budget.ema_decay else None
        self.kept = self.average.model if self.average else model
        self.optimiser = Adam(self.parameters, budget.weight_decay)
        self.outcome = Outcome()

    def pack(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All of it, as tensors by name and as what JSON can hold."""
        outcome = self.outcome
        parts: dict[str, Mapping[Any, Tensor]] = {
            "model": self.model.state_dict(),
            "average": dict(self.average.model.named_parameters()) if self.average else {},
            "best": outcome.weights,
            "objective": self.objective.state(),
            "random": self._random_states(),
            "snapshot": outcome.snapshots,
            "optimiser": self.optimiser.state(),
        }
        tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
        facts = {
            "history": outcome.history,
            "best_step": outcome.best_step,
            "best_validation_loss": outcome.best_validation_loss,
            "seconds": outcome.seconds,
        }
        return tensors, facts

    def restore(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """Go on from what was packed after ``step``; returns it."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, of_part = name.partition("/")
            parts.setdefault(part, {})[of_part] = tensor
        self.model.load_state_dict(parts["model"])
        if self.average:
            # The buffers are the model's.
            self.average.model.load_state_dict(parts["average"], strict=False)
        self.optimiser.restore(parts["optimiser"])
        self.objective.restore(parts.get("objective", {}))
        torch.set_rng_state(parts["random"]["cpu"])
        if "device" in parts["random"]:
            torch.cuda.set_rng_state(parts["random"]["device"], self.device)
        outcome = self.outcome
        outcome.history = [HistoryRow(*row) for row in facts["history"]]
        outcome.best_step, outcome.best_validation_loss = facts["best_step"], facts["best_validation_loss"]
        outcome.weights = {name: value.to(self.device) for name, value in parts.get("best", {}).items()}
        # The file has them in the order of their names.
        outcome.snapshots = {at: parts["snapshot"][str(at)] for at in sorted(map(int, parts.get("snapshot", {})))}
        outcome.seconds = facts["seconds"]
        return step

    def _random_states(self) -> dict[str, Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["device"] = torch.cuda.get_rng_state(self.device)
        return states


def learning_rate_factor(step: int, budget: TrainBudget) -> float:
    """Share of the learning rate at ``step`` = 0, 1, …: linear warm-up, then constant or half a cosine to zero."""
    if step < budget.warmup_steps:
        return (step + 1) / budget.warmup_steps
    if budget.schedule == "constant":
        return 1.0
    done = (step - budget.warmup_steps) / max(1, budget.steps - budget.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
