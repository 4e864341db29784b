"""Distances between two samples."""

import torch
from torch import Tensor

from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured, over

_CHUNK = 2048
# Beyond this many dimensions, differences pair by pair take minutes where a matrix product takes seconds.
_DIRECT_DIMS = 64


def two_sample(samples: Tensor, test: Tensor, unit: Tensor | float = 1.0) -> dict[str, float]:
    """Sliced Wasserstein and energy distance between ``(n, *event)`` and ``(m, *event)`` at equal sizes.

    Args:
        unit: in which each feature is counted, of the shape of an event.
    """
    n = min(len(samples), len(test))
    x, y = ((points[:n].to(samples.dtype) / unit).flatten(1) for points in (samples, test))
    return {"sliced_wasserstein": sliced_wasserstein(x, y), "energy_distance": energy_distance(x, y)}


def sliced_wasserstein(x: Tensor, y: Tensor, projections: int = 256) -> float:
    """Mean 1-Wasserstein distance of projections onto random directions (Bonneel et al. 2015, section 3).

    Args:
        x, y: ``(n, D)`` each.
        projections: directions, uniform on the sphere, from torch's global random state.
    """
    directions = torch.randn(x.shape[1], projections, dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).to(x)
    return float(((x @ directions).sort(0).values - (y @ directions).sort(0).values).abs().double().mean())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'| over all pairs (Székely & Rizzo 2013, equation 5); O(n²) time.

    Pairs of a point with itself count, which keeps the distance from falling below zero.
    """
    return 2 * _mean_distance(x, y) - _mean_distance(x, x) - _mean_distance(y, y)


def _mean_distance(x: Tensor, y: Tensor) -> float:
    # A matrix product loses digits that a difference of means needs. In float64 it does not: the squared distances
    # between images, whose grey levels are whole numbers, come out exactly.
    direct = x.shape[1] <= _DIRECT_DIMS
    mode = "donot_use_mm_for_euclid_dist" if direct else "use_mm_for_euclid_dist"
    x, y = (x, y) if direct else (x.double(), y.double())
    sums = [torch.cdist(part, y, compute_mode=mode).sum(dtype=torch.float64) for part in x.split(_CHUNK)]
    return float(torch.stack(sums).sum()) / (len(x) * len(y))


def _measure(subject: Subject) -> dict[str, Measured]:
    return over(min(len(subject.samples), len(subject.test)), two_sample(subject.samples, subject.test, subject.unit))


FAMILIES = [Family("distances", lambda subject: True, _measure)]
