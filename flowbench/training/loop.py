"""The training loop."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from flowbench.config import TrainBudget
from flowbench.core import FlowModel, SolverError
from flowbench.device import clock
from flowbench.training.average import MovingAverage
from flowbench.training.objectives import Objective

# Steps between two rows of the history. The host reads the loss no more often, so a GPU need not wait for it.
LOG_EVERY = 10


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
        seconds: of training and validation, as `flowbench.device.clock` has them.
    """

    status: str = "finished"
    weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[int, float, float | None, float]] = field(default_factory=list)
    best_step: int = 0
    best_validation_loss: float = math.inf
    diverged_at: int | None = None
    reason: str = ""
    seconds: float = 0.0


def train(
    model: FlowModel,
    objective: Objective,
    budget: TrainBudget,
    *,
    title: str = "",
    snapshot: Callable[[int, FlowModel], None] | None = None,
) -> Outcome:
    """Minimise the objective with Adam for the budget's steps, and keep the weights that validate best.

    Args:
        model: trained in place; ends with its last weights, the best being in the outcome.
        objective: what is minimised.
        budget: steps, learning rate and the like.
        title: of the progress bar.
        snapshot: called every ``budget.snapshot_every`` steps with the number of steps done and the model as it would
            be kept.
    """
    outcome = Outcome()
    parameters = list(model.parameters())
    device = parameters[0].device
    average = MovingAverage(model, budget.ema_decay) if budget.ema_decay else None
    kept = average.model if average else model
    # For the steps alone: validation is in float32, as the evaluation will be.
    precision = torch.autocast(device.type, torch.bfloat16, enabled=budget.precision == "bfloat16")
    optimiser = torch.optim.Adam(parameters, budget.learning_rate, weight_decay=budget.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, budget))
    model.train()
    begin = clock(device)
    with _progress(budget.steps, title) as bar, _failures(outcome):
        losses = []
        for step in range(1, budget.steps + 1):
            optimiser.zero_grad(set_to_none=True)
            with precision:
                loss = objective.loss(step - 1)
            loss.backward()
            if budget.clip_norm:
                torch.nn.utils.clip_grad_norm_(parameters, budget.clip_norm)
            learning_rate = schedule.get_last_lr()[0]
            optimiser.step()
            schedule.step()
            if average:
                average.update(step)
            losses.append(loss.detach())

            validate = step % budget.validate_every == 0 or step == budget.steps
            if step % LOG_EVERY == 0 or validate:
                mean_loss = float(torch.stack(losses).mean())
                losses.clear()
                validation_loss = float(objective.validation_loss(kept)) if validate else None
                outcome.history.append((step, mean_loss, validation_loss, learning_rate))
                if not (math.isfinite(mean_loss) and math.isfinite(validation_loss or 0.0)):
                    outcome.status, outcome.diverged_at = "diverged", step
                    break
                if validation_loss is not None and validation_loss < outcome.best_validation_loss:
                    outcome.best_step, outcome.best_validation_loss = step, validation_loss
                    outcome.weights = {name: value.detach().clone() for name, value in kept.state_dict().items()}
                bar.set_postfix_str(f"loss {mean_loss:.4g}", refresh=False)
                bar.update(step - bar.n)
            if snapshot and step % budget.snapshot_every == 0:
                paused = clock(device)
                snapshot(step, kept)
                begin += clock(device) - paused
    outcome.seconds = clock(device) - begin
    return outcome


@contextmanager
def _failures(outcome: Outcome) -> Iterator[None]:
    """A block that an equation without a solution ends, on record."""
    try:
        yield
    except SolverError as error:
        outcome.status, outcome.reason = "failed", str(error)


def learning_rate_factor(step: int, budget: TrainBudget) -> float:
    """Share of the learning rate at ``step`` = 0, 1, …: linear warm-up, then constant or half a cosine to zero."""
    if step < budget.warmup_steps:
        return (step + 1) / budget.warmup_steps
    if budget.schedule == "constant":
        return 1.0
    done = (step - budget.warmup_steps) / max(1, budget.steps - budget.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _progress(steps: int, title: str) -> tqdm:
    # A terminal gets a moving bar, a log file a line now and then.
    interval = 0.2 if sys.stderr.isatty() else 20
    return tqdm(total=steps, desc=title, unit="step", mininterval=interval, dynamic_ncols=True)
