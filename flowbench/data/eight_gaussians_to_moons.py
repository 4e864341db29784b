"""Two moons, to which models transport eight Gaussians (Tong et al. 2024, 2302.00482)."""

from dataclasses import dataclass

from pydantic import PositiveInt

from flowbench.core import Event, Mixture
from flowbench.data.eight_gaussians import centres
from flowbench.data.normal_to_eight_gaussians import RADIUS, STD
from flowbench.data.normal_to_moons import GRID, NormalToMoons


@dataclass(frozen=True, kw_only=True)
class EightGaussiansToMoons(NormalToMoons):
    """The same distribution, drawn with random numbers of its own."""


def source(*, train: PositiveInt, validation: PositiveInt, test: PositiveInt) -> EightGaussiansToMoons:
    """The moons of `normal_to_moons`, with another start."""
    start = Mixture(centres=tuple((x, y) for x, y in centres(RADIUS).tolist()), std=STD)
    event = Event((2,), standardise=False, start=start)
    return EightGaussiansToMoons(event=event, grid=GRID, train=train, validation=validation, test=test)
