"""Two interleaved half circles with Gaussian noise: scikit-learn's ``make_moons``."""

import math
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from flowbench.config import Within
from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.data._mixture import log_mixture
from flowbench.numerics.quadrature import Grid


class Moons(SampledSource):
    """The moons with noise of the given standard deviation."""

    noise: Annotated[float, Within(ge=0.01)]
    event = Event((2,))

    @cached_property
    def grid(self) -> Grid:
        return Grid.resolving(-1 - 6 * self.noise, 2 + 6 * self.noise, detail=self.noise)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Half of the points lie on each arc, at equal steps of the angle. Only the noise is random."""
        from sklearn.datasets import make_moons  # slow

        return make_moons(n, noise=self.noise, random_state=int(rng.integers(2**32)))[0]

    def log_density(self, x: Tensor) -> Tensor:
        """log of ½ Σ over both arcs of (1/π) ∫₀^π N(x; arc(t), noise² I) dt, by Gauss-Legendre quadrature.

        At a distance r from the arc's centre, the integrand is a bump in t with the width noise / √r. The distance
        between two nodes is at most noise / 2, so for r < 4 the relative error of the density is below 1e-8.
        """
        nodes, weights = np.polynomial.legendre.leggauss(max(32, math.ceil(10 / self.noise)))
        angles = torch.from_numpy(nodes + 1) * (math.pi / 2)
        upper = torch.stack([angles.cos(), angles.sin()], 1)
        lower = torch.stack([1 - angles.cos(), 0.5 - angles.sin()], 1)
        # The sum of the weights of one arc is two, and each arc has half of the mass.
        return log_mixture(x, torch.cat([upper, lower]), torch.from_numpy(weights).repeat(2) / 4, self.noise)


source = Moons
