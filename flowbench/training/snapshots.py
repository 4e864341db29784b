"""What is seen of a model while it learns: its density in the plane, or the images that it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from flowbench.config import TrainBudget
from flowbench.core import FlowModel, Generator, NoSuchDirectionError, SolverError
from flowbench.numerics.quadrature import Grid
from flowbench.runtime.seeding import seed_for, seeded

# Intervals between snapshots where the budget has none of its own. Of a continuous flow each takes long.
_INTERVALS, _INTERVALS_CONTINUOUS, _INTERVALS_OF_IMAGES = 35, 10, 8
# Cells a side. Fewer where the map is solved: by a continuous flow, and by planar flows of an energy.
_CELLS, _CELLS_SOLVED = 96, 64
# Of the solver. The pictures show no smaller error.
_TOLERANCE = 1e-2
# As many as the published autoencoder of images shows after each epoch, eight in a row.
IMAGES = 64


class Snapshots:
    """When snapshots are taken, from the initial model on, and of what.

    They change neither the model nor any random number.

    Args:
        look: what is kept of a model; it is called in evaluation mode and without gradients.
        budget: its ``snapshot_every``, if it is set, is the number of steps between two.
        intervals: as many, of equal length, if it is not.
    """

    def __init__(self, look: Callable[[Generator], Tensor], budget: TrainBudget, intervals: int):
        self._look = look
        if every := budget.snapshot_every:
            self.steps = set(range(0, budget.steps + 1, every))
        else:
            self.steps = {round(budget.steps * i / intervals) for i in range(intervals + 1)}

    @classmethod
    def of_density(cls, model: FlowModel, budget: TrainBudget, grid: Grid, *, energy: bool) -> Self:
        """Of the density on the square of ``grid``, ``(cells, cells)`` float16; NaN where it cannot be computed."""
        coarse = Grid(grid.low, grid.high, _CELLS_SOLVED if model.continuous or energy else _CELLS)
        intervals = _INTERVALS_CONTINUOUS if model.continuous else _INTERVALS
        return cls(lambda kept: density(kept, coarse), budget, intervals)

    @classmethod
    def of_images(cls, budget: TrainBudget, images: Tensor) -> Self:
        """Of ``images`` ``(n, *event)`` and their reconstructions, ``(2, n, *event)`` uint8 from 0 to 255."""
        return cls(lambda kept: reconstructions(kept, images), budget, _INTERVALS_OF_IMAGES)

    @torch.no_grad()
    def take(self, model: Generator) -> Tensor:
        """A snapshot, on the CPU."""
        training = model.training
        model.eval()
        with seeded(seed_for("snapshot")):
            seen = self._look(model).cpu()
        model.train(training)
        return seen


def density(model: Generator, grid: Grid) -> Tensor:
    """The density on the grid, ``(size, size)`` float16, whose rows follow the second coordinate."""
    assert isinstance(model, FlowModel)
    device = next(model.parameters()).device
    try:
        with model.loosely(_TOLERANCE):
            log_prob = grid.evaluate(lambda x: model.log_prob(x.to(device)).cpu())
    except (SolverError, NoSuchDirectionError):
        log_prob = torch.full((grid.size**2,), torch.nan)
    return log_prob.exp().clamp(max=torch.finfo(torch.float16).max).half().view(grid.size, grid.size)


def reconstructions(model: Generator, images: Tensor) -> Tensor:
    """Images ``(n, *event)`` before and after a round trip, ``(2, n, *event)`` uint8 from 0 to 255."""
    pair = torch.stack(model.reconstruct(images))
    return (255 * pair.nan_to_num().clamp(0, 1)).round().byte()
