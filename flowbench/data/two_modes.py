"""The two-mode energy: the left and right ends of a ring with radius 2.

Rezende and Mohamed 2015, "Variational inference with normalizing flows", table 1, the first energy. Here the ring and
the ridges have half of the width.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid, log_integral

RING = 2 * 0.1
RIDGE = 3 * 0.1


class TwoModes(SampledSource):
    """The two-mode energy. It is not standardised, because a model that learns from an energy sees no data."""

    event = Event((2,), standardise=False)
    grid = Grid(-4, 4, 400)

    def log_energy(self, x: Tensor) -> Tensor:
        """``log p(z) = -½((‖z‖-2)/0.2)² - ½((|z₁|-2)/0.3)² + log(1 + exp(-4|z₁|/0.3²))``, up to a constant.

        The last two terms are ``log(exp(-½((z₁-2)/0.3)²) + exp(-½((z₁+2)/0.3)²))``.
        """
        first = x[:, 0].abs()
        ring = ((torch.linalg.vector_norm(x, dim=1) - 2) / RING).square() / 2
        ridge = ((first - 2) / RIDGE).square() / 2
        return -ring - ridge + torch.nn.functional.softplus(-4 * first / RIDGE**2)

    @cached_property
    def log_normaliser(self) -> float:
        """log Z = log ∫ exp(log_energy), by quadrature, in nats."""
        return log_integral(self.grid.evaluate(self.log_energy, dtype=torch.float64), self.grid)

    def log_density(self, x: Tensor) -> Tensor:
        return self.log_energy(x.double()) - self.log_normaliser

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Rejection sampling: z₁ comes from the ridges and z₂ is uniform on [-4, 4].

        A point is kept with the probability of the ring, which is below exp(-50) outside of [-4, 4].
        """
        kept = np.empty((0, 2))
        while len(kept) < n:
            first = rng.choice([-2, 2], size=n) + RIDGE * rng.standard_normal(n)
            z = np.stack([first, rng.uniform(-4, 4, size=n)], 1)
            ring = np.exp(-(((np.linalg.norm(z, axis=1) - 2) / RING) ** 2) / 2)
            kept = np.concatenate([kept, z[rng.random(n) < ring]])
        return kept[:n]


source = TwoModes
