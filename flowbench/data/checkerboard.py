"""The uniform distribution on the dark squares of a checkerboard of 4 × 4 squares over [-4, 4)²."""

import math

import numpy as np
import torch
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid

SIDE = 2.0  # of a square
DARK_AREA = 8 * SIDE**2


class Checkerboard(SampledSource):
    """The checkerboard."""

    event = Event((2,))
    # In the margin one sees what a model puts outside of the board. The edges of the board are edges of cells.
    grid = Grid(-5, 5, 400)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        # The points are uniform on the whole board. Then each light square moves onto the dark square beside it.
        # All of this is exact in float32. In float64, a later rounding could move a point off its square.
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


source = Checkerboard
