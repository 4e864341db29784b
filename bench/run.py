"""Every work: ours beside each peer that has it, in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from bench import peers
from bench.agreement import agreement
from bench.candidate import Candidate
from bench.timing import Time, in_turns
from bench.works import DENSITY, LOOP, SAMPLING, TRAIN, Work, candidate
from flowbench.config import TrainBudget
from flowbench.core import FlowModel
from flowbench.training.adam import Adam
from flowbench.training.batches import Batches
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss

OURS = "flowbench"
# In the place of a work, in the row of a library that is missing.
ALL = "all"
# Steps of the suite's own loop in one call.
LOOP_STEPS = 20


class Row(NamedTuple):
    """How long one library takes for one work.

    Attributes:
        work, quantity, library: what was timed; the work is `ALL` if the library is missing.
        time: of a call; ``None`` if the library is not compared.
        note: why it is not compared, or how far it agrees with ours.
    """

    work: str
    quantity: str
    library: str
    time: Time | None
    note: str = ""


def measured(works: Sequence[Work], *, rounds: int, say: Callable[[str], None] = print) -> Iterator[Row]:
    """The rows of each work, each when it is known. Whatever a peer does, the others are timed."""
    adapters = {}
    for name in peers.PEERS:
        try:
            adapters[name] = peers.load(name)
        except peers.Missing as error:
            say(f"{name}: is not compared ({error})")
            yield Row(ALL, "–", name, None, str(error))
    with _alike():
        for work in works:
            say(work.name)
            makers, notes = {OURS: candidate}, {}
            for name, module in adapters.items():
                if make := getattr(module, work.kind, None):
                    try:
                        notes[name] = agreement(work, make)
                        makers[name] = make
                    except Exception as error:
                        yield from (Row(work.name, quantity, name, None, _line(error)) for quantity in work.goals)
            for quantity in work.goals:
                yield from _timed(work, quantity, makers, notes, rounds)


def _timed(
    work: Work, quantity: str, makers: dict[str, Callable[[FlowModel], Candidate]], notes: dict[str, str], rounds: int
) -> Iterator[Row]:
    """The rows of one quantity. All start from the same weights."""
    tasks = {}
    for name, make in makers.items():
        try:
            if task := call_of(work, quantity, make(work.ours())):
                task()
                tasks[name] = task
        except Exception as error:
            if name == OURS:
                raise
            yield Row(work.name, quantity, name, None, _line(error))
    if quantity == TRAIN:
        tasks[LOOP] = lambda: _loop(work)
    times = in_turns(tasks, rounds=rounds)
    if loop := times.pop(LOOP, None):
        of_step = Time(*(seconds / LOOP_STEPS for seconds in loop[:3]), loop.rounds)
        yield Row(work.name, LOOP, OURS, of_step, "with all that the suite does at a step")
    yield from (Row(work.name, quantity, name, time, notes.get(name, "")) for name, time in times.items())


def call_of(work: Work, quantity: str, found: Candidate) -> Callable[[], object] | None:
    """One call of what is timed; ``None`` if the candidate does not have it."""
    if quantity == TRAIN:
        return training_step(work, found)
    found.model.eval()
    if quantity == DENSITY and (log_prob := found.log_prob):
        x = work.data(work.batch)
        return lambda: _without_gradients(lambda: log_prob(x))
    if quantity == SAMPLING and (sample := found.sample):
        return lambda: _without_gradients(lambda: sample(work.draws))
    return None


@torch.no_grad()
def _without_gradients(task: Callable[[], Tensor]) -> Tensor:
    return task()


def training_step(work: Work, found: Candidate) -> Callable[[], object]:
    """The loss of a batch, its gradients, and a step of Adam; the optimiser is the same for all libraries.

    Raises:
        ValueError: a parameter has no gradient, or one that is not finite, in a first step.
    """
    parameters = [p for p in found.model.parameters() if p.requires_grad]
    optimiser, data = Adam(parameters), work.data(50 * work.batch)
    found.model.train()

    def step() -> None:
        optimiser.zero_grad()
        found.loss(data[torch.randint(len(data), (work.batch,))]).backward()
        optimiser.step(1e-4)

    step()
    if not all(p.grad is not None and p.grad.isfinite().all() for p in parameters):
        raise ValueError("a parameter has no finite gradient")
    return step


def _loop(work: Work) -> None:
    """Some steps of the suite's own loop, with all that a training of a cell does at each step."""
    model, data = work.ours(), work.data(50 * work.batch)
    objective = DataLoss(model, Batches(data, work.batch, torch.device("cpu")), data[: work.batch], 0)
    budget = TrainBudget(
        steps=LOOP_STEPS,
        batch_size=work.batch,
        learning_rate=1e-4,
        clip_norm=5.0,
        ema_decay=0.99,
        validate_every=LOOP_STEPS,
    )
    train(model, objective, budget)


@contextmanager
def _alike() -> Iterator[None]:
    """A block with one thread, and without checks of arguments: zuko turns those off for all when it is imported."""
    threads, checks = torch.get_num_threads(), Distribution._validate_args
    torch.set_num_threads(1)
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        Distribution.set_default_validate_args(checks)


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
