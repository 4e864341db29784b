"""What is measured, and the contract of a family of metrics."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from flowbench.cell import Cell
from flowbench.config import EvaluateBudget
from flowbench.core import FittedModel, Generator, NoSuchDirectionError, SolverError
from flowbench.flows._continuous import ContinuousModel
from flowbench.metrics import Measured
from flowbench.records.training import Training
from flowbench.runtime.seeding import seed_for, seeded

# What a flow may answer to what is asked of it.
_REFUSALS = (SolverError, NoSuchDirectionError)


@dataclass
class Subject:
    """One trained seed of a cell, and what it is measured on.

    Attributes:
        cell: resolved.
        training: its record.
        seed: that is measured.
        model: of the seed, on the cell's device.
        split: the whole test split ``(n, *event)``, on the cell's device.
        values: of the metrics so far.
        log_prob: log-likelihood of each test example in nats, ``(n,)``; ``None`` if the model has no density.
        on_grid: log-density in nats on the square of planar data, ``(size²,)`` on the CPU; ``None`` if there is none.
    """

    cell: Cell
    training: Training
    seed: int
    model: Generator
    split: Tensor
    values: dict[str, Measured] = field(default_factory=dict)
    log_prob: np.ndarray | None = None
    on_grid: Tensor | None = None
    _given_up: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def budget(self) -> EvaluateBudget:
        """How precisely the cell is measured."""
        return self.cell.evaluate

    @property
    def test(self) -> Tensor:
        """The test examples that are measured, ``(n, *event)``."""
        return self.split[: self.budget.test_examples]

    @cached_property
    def unit(self) -> Tensor:
        """What errors and distances are counted in, of the shape of an event."""
        return torch.from_numpy(self.cell.unit).to(self.split.device)

    @property
    def is_flow(self) -> bool:
        """Whether the model has a map whose inverse can be checked, which a baseline has not."""
        return not isinstance(self.model, FittedModel)

    @property
    def is_continuous(self) -> bool:
        """Whether the model has a differential equation."""
        return isinstance(self.model, ContinuousModel)

    @property
    def continuous(self) -> ContinuousModel:
        """The model, if it is continuous."""
        assert isinstance(self.model, ContinuousModel)
        return self.model

    @property
    def is_planar(self) -> bool:
        """Whether the data lies in the plane, on a square that holds all but a negligible part of it."""
        return self.cell.source.grid is not None

    @cached_property
    def latents(self) -> Tensor:
        """Of the samples, ``(n, *latent)``: no more than there are test examples, and the same for flows of one prior.

        All flows of a data set whose samples are as many can so be set side by side.
        """
        with self._random("samples"):
            return self.model.prior().sample((min(self.budget.samples, len(self.test)),))

    @cached_property
    def samples(self) -> Tensor:
        """What the model makes of the latents, ``(n, *event)``. A solver may give up on them."""
        latents = self.latents
        with self._random("generation"):
            return generate(self.model, latents, self.budget.batch_size)

    @contextmanager
    def _random(self, purpose: str) -> Iterator[None]:
        """A block without gradients, whose random numbers derive from the data set, the purpose and the seed alone.

        So neither a family of metrics nor a picture disturbs another.
        """
        with torch.no_grad(), seeded(seed_for(self.cell.names.data, "evaluation", purpose, self.seed)):
            yield

    def measure(self, families: Iterable[Family]) -> None:
        """Add what each family that applies finds to the values.

        A solver that gives up, or a direction that a flow lacks, costs one family only.
        """
        for family in families:
            if family.applies(self):
                try:
                    with self._random(family.purpose):
                        self.values |= family.measure(self)
                except _REFUSALS as error:
                    self._given_up[str(error)].append(family.purpose)

    def draw(self, pictures: Iterable[Pictures], folder: Path) -> None:
        """Write those that apply. What a solver gives up on is left out, and a line says so: no number is missing."""
        for some in pictures:
            if some.applies(self):
                try:
                    with self._random(some.purpose):
                        some.draw(self, folder)
                except _REFUSALS as error:
                    line = f"{self.cell.key} seed {self.seed}: cannot draw {some.purpose}; {self.cell.where}: {error}"
                    tqdm.write(line, file=sys.stderr)

    @property
    def missing(self) -> str:
        """Why something could not be measured, with the option to change, and what; empty if all was."""
        reasons = [f"{error} ({', '.join(purposes)})" for error, purposes in self._given_up.items()]
        return f"{self.cell.where}: {'; '.join(reasons)}" if reasons else ""


@dataclass(frozen=True)
class Family:
    """Metrics that are measured together.

    Attributes:
        purpose: its name, from which its random numbers derive.
        applies: whether a subject has these metrics.
        measure: the metrics of a subject by name. The catalogue says what each means.
    """

    purpose: str
    applies: Callable[[Subject], bool]
    measure: Callable[[Subject], dict[str, Measured]]


@dataclass(frozen=True)
class Pictures:
    """Pictures that are drawn together, of one seed of a cell and after all metrics.

    Attributes:
        purpose: what they show, from which their random numbers derive.
        applies: whether a subject has them.
        draw: writes them to a folder.
    """

    purpose: str
    applies: Callable[[Subject], bool]
    draw: Callable[[Subject, Path], None]


def generate(model: Generator, latents: Tensor, batch_size: int) -> Tensor:
    """Data ``(n, *event)`` from latents ``(n, *latent)``, ``batch_size`` at a time."""
    return torch.cat([model.generate(z) for z in latents.split(batch_size)])
