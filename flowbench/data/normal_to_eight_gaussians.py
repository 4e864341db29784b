"""Eight Gaussians on a circle, to which models transport a standard normal (Tong et al. 2024, 2302.00482, table 2).

The constants are those of the examples in their code. The table in the paper has another scale.
"""

from dataclasses import field

from flowbench.core import Event
from flowbench.data.eight_gaussians import EightGaussians
from flowbench.numerics.quadrature import Grid


class NormalToEightGaussians(EightGaussians):
    """Eight Gaussians. Models do not standardise them, because the cost of a transport depends on the scale."""

    radius: float = field(default=5.0, init=False)
    std: float = field(default=0.1**0.25, init=False)  # the code means a variance of 0.1 but uses √0.1
    event = Event((2,), standardise=False)
    grid = Grid(-8.5, 8.5, 400)  # to six standard deviations


source = NormalToEightGaussians
