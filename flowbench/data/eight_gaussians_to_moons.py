"""Two moons, to which models transport eight Gaussians (Tong et al. 2024, 2302.00482)."""

from flowbench.core import Event, Mixture
from flowbench.data.eight_gaussians import centres
from flowbench.data.normal_to_eight_gaussians import NormalToEightGaussians
from flowbench.data.normal_to_moons import NormalToMoons

_CENTRES = centres(NormalToEightGaussians.radius).tolist()
_START = Mixture(centres=tuple((x, y) for x, y in _CENTRES), std=NormalToEightGaussians.std)


class EightGaussiansToMoons(NormalToMoons):
    """The moons of `normal_to_moons`, with another start and random numbers of their own."""

    event = Event((2,), standardise=False, start=_START)


source = EightGaussiansToMoons
