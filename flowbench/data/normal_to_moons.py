"""Two moons, to which models transport a standard normal (Tong et al. 2024, 2302.00482, table 2).

The constants are those of the examples in their code. The table in the paper has another scale.
"""

import math

import numpy as np

from flowbench.core import Event
from flowbench.data import SampledSource
from flowbench.numerics.quadrature import Grid

_SHIFT = 0.2


class NormalToMoons(SampledSource):
    """Two moons. Models do not standardise them, because the cost of a transport depends on the scale."""

    event = Event((2,), standardise=False)
    # The moons lie in [-4, 5.6] × [-2.5, 2.6]. In the margin one sees what a model puts outside of them.
    grid = Grid(-5, 6.5, 400)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Points 3 (x + s) - 1, with x on one of two half circles and s uniform on [0, 0.2).

        Both coordinates have the same s. So the density is infinite where a half circle is parallel to the diagonal,
        and it is treated as unknown.
        """
        angle, outer = rng.uniform(0, math.pi, size=n), rng.random(n) < 0.5
        x = np.where(outer, np.cos(angle), 1 - np.cos(angle))
        y = np.where(outer, np.sin(angle), 0.5 - np.sin(angle))
        return 3 * (np.stack([x, y], 1) + _SHIFT * rng.random((n, 1))) - 1


source = NormalToMoons
