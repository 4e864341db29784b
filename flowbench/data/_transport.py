"""The distributions between which Tong et al. (2024, 2302.00482, table 2) transport points of the plane.

The constants are those of the examples in their code. The table in the paper has another scale.
"""

import math

import numpy as np

from flowbench.core import Mixture
from flowbench.numerics.quadrature import Grid

_RADIUS = 5.0
_ANGLES = [math.pi / 4 * k for k in range(8)]
# The code means a variance of 0.1 but uses √0.1, so the standard deviation is the fourth root of 0.1.
EIGHT_GAUSSIANS = Mixture(
    centres=tuple((_RADIUS * math.cos(angle), _RADIUS * math.sin(angle)) for angle in _ANGLES), std=0.1**0.25
)
EIGHT_GAUSSIANS_GRID = Grid(-8.5, 8.5, 400)  # to six standard deviations
# The moons lie in [-4, 5.6] × [-2.5, 2.6]. In the margin one sees what a model puts outside of them.
MOONS_GRID = Grid(-5, 6.5, 400)
_SHIFT = 0.2


def eight_gaussians(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 2)`` points from `EIGHT_GAUSSIANS`."""
    centres = np.array(EIGHT_GAUSSIANS.centres)
    return rng.normal(centres[rng.integers(len(centres), size=n)], EIGHT_GAUSSIANS.std)


def moons(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 2)`` points 3 (x + s) - 1, with x on one of two half circles and s uniform on [0, 0.2).

    Both coordinates have the same s. So the density is infinite where a half circle is parallel to the diagonal, and
    it is treated as unknown.
    """
    angle, outer = rng.uniform(0, math.pi, size=n), rng.random(n) < 0.5
    x = np.where(outer, np.cos(angle), 1 - np.cos(angle))
    y = np.where(outer, np.sin(angle), 0.5 - np.sin(angle))
    return 3 * (np.stack([x, y], 1) + _SHIFT * rng.random((n, 1))) - 1
