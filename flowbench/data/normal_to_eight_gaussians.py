"""Eight Gaussians on a circle, to which models transport a standard normal (Tong et al. 2024, 2302.00482, table 2).

The constants are those of the examples in their code. The table in the paper has another scale.
"""

from dataclasses import dataclass

from pydantic import PositiveInt

from flowbench.core import Event
from flowbench.data.eight_gaussians import EightGaussians
from flowbench.numerics.quadrature import Grid

RADIUS = 5.0
STD = 0.1**0.25  # the code means a variance of 0.1 but uses √0.1


@dataclass(frozen=True, kw_only=True)
class NormalToEightGaussians(EightGaussians):
    """The same distribution, drawn with random numbers of its own."""


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> NormalToEightGaussians:
    """Eight Gaussians. Models do not standardise them, because the cost of a transport depends on the scale."""
    return NormalToEightGaussians(
        event=Event((2,), standardise=False),
        grid=Grid(-8.5, 8.5, 400),  # to six standard deviations
        train=train,
        validation=validation,
        test=test,
        radius=RADIUS,
        std=STD,
    )
