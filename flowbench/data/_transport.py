"""The ends of the transports in the plane by which Tong et al. compare flow matching (2024, 2302.00482, table 2).

The constants are those of their code's examples; the scale of the paper's table is another.
"""

import math

import numpy as np

from flowbench.core import Mixture
from flowbench.numerics.quadrature import Grid

_RADIUS = 5.0
_ANGLES = [math.pi / 4 * k for k in range(8)]
# The code calls 0.1 a variance, and then takes √0.1 for it: the standard deviation is a fourth root.
EIGHT_GAUSSIANS = Mixture(
    centres=tuple((_RADIUS * math.cos(angle), _RADIUS * math.sin(angle)) for angle in _ANGLES), std=0.1**0.25
)
EIGHT_GAUSSIANS_GRID = Grid(-8.5, 8.5, 400)  # to six standard deviations
# Moons lie in [-4, 5.6] × [-2.5, 2.6]; the margin shows what a model puts beside them.
MOONS_GRID = Grid(-5, 6.5, 400)
_SHIFT = 0.2


def eight_gaussians(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 2)`` points from `EIGHT_GAUSSIANS`."""
    centres = np.array(EIGHT_GAUSSIANS.centres)
    return rng.normal(centres[rng.integers(len(centres), size=n)], EIGHT_GAUSSIANS.std)


def moons(n: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 2)`` points on two half circles, each pushed up to 0.2 to the upper right; then times 3, less 1.

    The push is one number for both coordinates, so the density is infinite where a half circle runs along the
    diagonal, and is left unknown.
    """
    angle, outer = rng.uniform(0, math.pi, size=n), rng.random(n) < 0.5
    x = np.where(outer, np.cos(angle), 1 - np.cos(angle))
    y = np.where(outer, np.sin(angle), 0.5 - np.sin(angle))
    return 3 * (np.stack([x, y], 1) + _SHIFT * rng.random((n, 1))) - 1
