"""The training loop."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from tqdm import tqdm

from flowbench.config import TrainBudget
from flowbench.core import Generator, SolverError
from flowbench.records.training import HistoryRow
from flowbench.runtime.device import clock
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.objectives import Objective
from flowbench.training.snapshots import Snapshots
from flowbench.training.state import Outcome, TrainingState, learning_rate_factor

# Steps between two rows of the history. The host reads the loss no more often, so a GPU need not wait for it.
LOG_EVERY = 10


def train(
    model: Generator,
    objective: Objective,
    budget: TrainBudget,
    *,
    title: str = "",
    snapshots: Snapshots | None = None,
    checkpoints: Checkpoints | None = None,
) -> Outcome:
    """Minimise the objective with Adam, and keep the weights that validate best.

    It ends after the budget's steps, or when its patience does.

    Args:
        model: trained in place; ends with its last weights, the best being in the outcome.
        objective: what is minimised.
        budget: steps, learning rate and so on.
        title: of the progress bar.
        snapshots: taken of the model as it would be kept, before the first step and after others. The seconds leave
            them out.
        checkpoints: to go on from, and to write. The outcome has the same bits as that of a training that was never
            interrupted. Only the seconds differ: they leave out what a kill undid.
    """
    state = TrainingState(model, objective, budget)
    outcome, parameters, device = state.outcome, state.parameters, state.device
    # For the steps alone: validation is in float32, as the evaluation will be.
    precision = torch.autocast(device.type, torch.bfloat16, enabled=budget.precision == "bfloat16")
    if checkpoints and (found := checkpoints.load()):
        outcome.resumed_at = state.restore(*found)
    model.train()
    if snapshots and not outcome.snapshots:
        outcome.snapshots[0] = snapshots.take(state.kept)
    begin = clock(device) - outcome.seconds
    with _progress(budget.steps, title) as bar, _failures(outcome):
        bar.update(outcome.resumed_at)
        losses: list[Tensor] = []
        for step in range(outcome.resumed_at + 1, budget.steps + 1):
            if _patience_ended(outcome, step - 1, budget):
                break
            state.optimiser.zero_grad()
            with precision:
                loss = objective.loss(step - 1)
            loss.backward()
            if budget.clip_norm:
                torch.nn.utils.clip_grad_norm_(parameters, budget.clip_norm)
            learning_rate = budget.learning_rate * learning_rate_factor(step - 1, budget)
            state.optimiser.step(learning_rate)
            if state.average:
                state.average.update(step)
            losses.append(loss.detach())

            validate = step % budget.validate_every == 0 or step == budget.steps
            row = step % LOG_EVERY == 0 or validate
            if row:
                mean_loss = float(torch.stack(losses).mean())
                losses.clear()
                validation_loss = float(objective.validation_loss(state.kept)) if validate else None
                outcome.history.append(HistoryRow(step, mean_loss, validation_loss, learning_rate))
                if not (math.isfinite(mean_loss) and math.isfinite(validation_loss or 0.0)):
                    outcome.status, outcome.diverged_at = "diverged", step
                    break
                if validation_loss is not None and validation_loss < outcome.best_validation_loss:
                    outcome.best_step, outcome.best_validation_loss = step, validation_loss
                    outcome.weights = {name: value.detach().clone() for name, value in state.kept.state_dict().items()}
                bar.set_postfix_str(f"loss {mean_loss:.4g}", refresh=False)
                bar.update(step - bar.n)
            paused = clock(device)
            ends = _patience_ended(outcome, step, budget)
            if snapshots and (step in snapshots.steps or ends):
                outcome.snapshots[step] = snapshots.take(state.kept)
            # Where a row ends, no losses wait for the next.
            if checkpoints and row and (checkpoints.due or ends or step == budget.steps):
                outcome.seconds = paused - begin
                checkpoints.save(step, *state.pack())
            begin += clock(device) - paused
    outcome.seconds = clock(device) - begin
    return outcome


def _patience_ended(outcome: Outcome, step: int, budget: TrainBudget) -> bool:
    """Whether too many looks at the validation split, up to that of ``step``, have found no better weights."""
    return budget.patience is not None and step - outcome.best_step >= budget.patience * budget.validate_every


@contextmanager
def _failures(outcome: Outcome) -> Iterator[None]:
    """A block that an equation without a solution ends, on record."""
    try:
        yield
    except SolverError as error:
        outcome.status, outcome.reason = "failed", str(error)


def _progress(steps: int, title: str) -> tqdm:
    # A terminal gets a moving bar, a log file a line now and then.
    interval = 0.2 if sys.stderr.isatty() else 20
    return tqdm(total=steps, desc=title, unit="step", mininterval=interval, dynamic_ncols=True)
