"""``python -m bench``: every work, ours beside each peer that has it, in turns."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from bench import peers
from bench.candidate import Candidate
from bench.timing import Time, in_turns, summary
from bench.works import DENSITY, LOOP, SAMPLING, TRAIN, Work, candidate
from flowbench.config import TrainBudget
from flowbench.core import FlowModel
from flowbench.training.adam import Adam
from flowbench.training.batches import Batches
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss

OURS = "flowbench"
# Nats for each dimension, in float64. Most agree to 1e-14; FrEIA adds log-determinants in float32.
TOLERANCE = 1e-5
# Solutions of one equation agree as far as the solvers' tolerance.
SOLVER_TOLERANCE = 1e-3
_EXAMPLES = 64
# Steps of the suite's own loop in one round.
_LOOP_STEPS = 20


class Row(NamedTuple):
    """How long one library takes for one work.

    Attributes:
        work, quantity, library: what was timed.
        time: of a call; ``None`` if the library is not compared.
        note: why it is not compared, or how far its log-density is from ours.
    """

    work: str
    quantity: str
    library: str
    time: Time | None
    note: str = ""


def measured(works: Sequence[Work], *, rounds: int, say: Callable[[str], None] = print) -> Iterator[Row]:
    """The rows of each work, when it is done."""
    torch.set_num_threads(1)
    adapters, absent = {}, {}
    for name in peers.PEERS:
        try:
            adapters[name] = peers.load(name)
        except peers.Missing as error:
            absent[name] = str(error)
            say(f"{name}: is not compared ({error})")
    yield from (Row("all", "–", name, None, reason) for name, reason in absent.items())
    for work in works:
        say(work.name)
        candidates, notes = {OURS: candidate(work.ours())}, {}
        for name, module in adapters.items():
            make = getattr(module, work.kind, None)
            if make is None:
                continue
            try:
                notes[name] = agreement(work, make)
                candidates[name] = make(work.ours())
            except Exception as error:  # whatever a peer does, the others are timed
                yield from (Row(work.name, quantity, name, None, _line(error)) for quantity in work.goals)
        for quantity in work.goals:
            tasks = {name: task for name, c in candidates.items() if (task := _task(work, quantity, c))}
            for name in [name for name in tasks if name != OURS]:
                try:
                    tasks[name]()
                except Exception as error:
                    del tasks[name]
                    yield Row(work.name, quantity, name, None, _line(error))
            for name, time in in_turns(tasks, rounds=rounds).items():
                yield Row(work.name, quantity, name, time, notes.get(name, ""))
            if quantity == TRAIN:
                times = [_loop(work) for _ in range(rounds)]
                yield Row(work.name, LOOP, OURS, summary(times), "with all that the suite does at a step")


def agreement(work: Work, make: Callable[[FlowModel], Candidate]) -> str:
    """How a peer's log-density agrees with ours for the same weights, in float64.

    Raises:
        ValueError: it differs.
    """
    ours = work.ours().double().eval()
    theirs = make(work.ours())
    theirs.model.double().eval()
    mine, other = candidate(ours).parameter_count(), theirs.parameter_count()
    counts = "" if mine == other else f"; it learns {other:,} parameters, ours {mine:,}"
    if theirs.log_prob is None:
        return "has the same network; its loss draws other noise"
    x = work.data(_EXAMPLES, torch.float64)
    with torch.no_grad():
        error = float((ours.log_prob(x) - theirs.log_prob(x)).abs().max())
    limit = SOLVER_TOLERANCE if getattr(ours, "continuous", False) else TOLERANCE * work.event.dims
    if not error <= limit:
        raise ValueError(f"its log-density differs by {error:.2g} nats for the same weights")
    return f"its log-density agrees to {error:.0e} nats{counts}"


def _task(work: Work, quantity: str, found: Candidate) -> Callable[[], object] | None:
    """One call of what is timed; ``None`` if the candidate has it not."""
    found = copy.copy(found)
    if quantity == TRAIN:
        return training_step(work, found)
    if quantity == DENSITY and (log_prob := found.log_prob):
        x = work.data(work.batch)
        return lambda: _without_gradients(found, lambda: log_prob(x))
    if quantity == SAMPLING and (sample := found.sample):
        return lambda: _without_gradients(found, lambda: sample(work.draws))
    return None


def _without_gradients(found: Candidate, task: Callable[[], Tensor]) -> Tensor:
    found.model.eval()
    with torch.no_grad():
        return task()


def training_step(work: Work, found: Candidate) -> Callable[[], object]:
    """The loss of a batch, its gradients, and a step of Adam; the optimiser is the same for all libraries."""
    parameters = [p for p in found.model.parameters() if p.requires_grad]
    optimiser, data = Adam(parameters), work.data(50 * work.batch)

    def step() -> None:
        optimiser.zero_grad()
        found.loss(data[torch.randint(len(data), (work.batch,))]).backward()
        optimiser.step(1e-4)

    def trained() -> None:
        found.model.train()
        step()

    return trained


def _loop(work: Work) -> float:
    """Seconds of a step of the suite's own loop, with all that a training of a cell does at each step."""
    model, data = work.ours(), work.data(50 * work.batch)
    objective = DataLoss(model, Batches(data, work.batch, torch.device("cpu")), data[: work.batch], 0)
    budget = TrainBudget(
        steps=_LOOP_STEPS,
        batch_size=work.batch,
        learning_rate=1e-4,
        clip_norm=5.0,
        ema_decay=0.99,
        validate_every=_LOOP_STEPS,
    )
    return train(model, objective, budget).seconds / _LOOP_STEPS


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
