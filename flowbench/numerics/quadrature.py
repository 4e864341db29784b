"""Integrals of 2-D densities on a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """The midpoints of a square of ``size`` × ``size`` cells over ``[low, high]²``, row by row."""

    low: float
    high: float
    size: int

    @classmethod
    def resolving(cls, low: float, high: float, detail: float) -> Grid:
        """A grid for a density that is smooth on the scale ``detail``, such as its narrowest standard deviation.

        Cells of half that size make the midpoint rule accurate to many digits. More than
        4000 cells a side are a `ValueError`.
        """
        size = max(400, math.ceil(2 * (high - low) / detail))
        if size > 4000:
            raise ValueError(f"a width of {detail:g} within [{low:g}, {high:g}] needs {size} cells a side, above 4000")
        return cls(low, high, size)

    @property
    def cell_area(self) -> float:
        return ((self.high - self.low) / self.size) ** 2

    def points(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """All midpoints, ``(size², 2)``. The second coordinate changes with the row."""
        step = (self.high - self.low) / self.size
        axis = self.low + step * (torch.arange(self.size, dtype=torch.float64) + 0.5)
        return torch.cartesian_prod(axis, axis).flip(1).to(dtype)

    def evaluate(self, function: Callable[[Tensor], Tensor], chunk: int = 65536, **kwargs) -> Tensor:
        """``function`` of all points, ``(size²,)``, computed in chunks without gradients, in float64."""
        with torch.no_grad():
            return torch.cat([function(part).double() for part in self.points(**kwargs).split(chunk)])


def log_integral(log_density: Tensor, grid: Grid) -> float:
    """log ∫ exp(log_density) over the grid, from the values ``(size²,)`` at its midpoints, in nats."""
    return float(torch.logsumexp(log_density, 0)) + math.log(grid.cell_area)


def entropy(log_density: Tensor, grid: Grid) -> float:
    """Differential entropy -∫ p log p of a normalised density on the grid, in nats."""
    return float(torch.special.entr(log_density.exp()).sum()) * grid.cell_area
