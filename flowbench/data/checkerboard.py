"""The uniform distribution on the dark squares of a checkerboard of 4 × 4 squares over [-4, 4)²."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid

SIDE = 2.0  # of a square
DARK_AREA = 8 * SIDE**2


@dataclass(frozen=True, kw_only=True)
class Checkerboard(SampledSource):
    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        # Uniform on the whole board, then each light square moves onto its dark neighbour in the pair of columns.
        # In float32 from the start, where all of this is exact: rounding later could push a point off its square.
        x = 8 * rng.random((n, 2), dtype=np.float32) - 4
        column, row = np.floor(x / SIDE).T
        light = (column + row) % 2 == 1
        x[light, 0] += np.where(column[light] % 2 == 0, SIDE, -SIDE)
        return x

    def log_density(self, x: Tensor) -> Tensor:
        dark = (torch.floor(x / SIDE).sum(1) % 2 == 0) & ((x >= -4) & (x < 4)).all(1)
        return torch.full_like(x[:, 0], -math.log(DARK_AREA), dtype=torch.float64).masked_fill(~dark, -math.inf)

    def entropy(self) -> float:
        return math.log(DARK_AREA)


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> Checkerboard:
    """The checkerboard."""
    # A margin shows what a model puts off the board; the board's edges are edges of cells.
    return Checkerboard(event=Event((2,)), grid=Grid(-5, 5, 400), train=train, validation=validation, test=test)
