"""Transport in the plane: how far samples are from data, and how straight the way of a continuous flow is."""

import math

import torch
from torch import Tensor

from flowbench.core import sum_event
from flowbench.evaluation.subject import Family, Subject
from flowbench.flows._continuous import ContinuousModel
from flowbench.metrics import Measured, over
from flowbench.networks.field import VectorField
from flowbench.numerics.assignment import assignment

# Tong et al. take this number.
POINTS = 1000
# Eight times this number changes the energy of a trained field by less than 1e-4 of it.
_STEPS = 50


def wasserstein_2(x: Tensor, y: Tensor) -> float:
    """√ of the least mean squared distance between ``(n, D)`` points and the n points that they are assigned to; O(n³).

    Two samples of one distribution have a distance above 0, too. It is infinite where a point is not finite, or so far
    off that float32 cannot hold its square.
    """
    if not torch.stack([points.float().square().sum() for points in (x, y)]).isfinite().all():
        return math.inf
    return math.sqrt(float((x - y[assignment(x, y).to(y.device)]).double().square().sum(1).mean()))


def sample_distance(samples: Tensor, test: Tensor) -> dict[str, float]:
    """The 2-Wasserstein distance between the first of ``(n, D)`` samples and of ``(m, D)`` test data."""
    n = min(len(samples), len(test), POINTS)
    return {"wasserstein_2": wasserstein_2(samples[:n], test[:n])}


@torch.no_grad()
def path_energy(field: VectorField, start: Tensor, steps: int = _STEPS) -> float:
    """E ∫₀¹ |v(t, x_t)|² dt over paths dx/dt = v from the points ``start`` ``(n, *event)``.

    Both integrals by a Runge-Kutta method of order 4, the 3/8 rule. No transport between two distributions has less
    energy than their squared 2-Wasserstein distance (Benamou & Brenier 2000).
    """
    from torchdiffeq import odeint

    def derivative(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        velocity = field(t, state[0])
        return velocity, sum_event(velocity.square())

    state = start, start.new_zeros(len(start))
    _, energy = odeint(derivative, state, start.new_tensor([0, 1]), method="rk4", options={"step_size": 1 / steps})
    return float(energy[-1].double().mean())


@torch.no_grad()
def straightness(model: ContinuousModel, test: Tensor) -> dict[str, float]:
    """The energy of a flow's paths, and |energy - W₂²| / W₂² (Tong et al. 2024, 2302.00482, table 2).

    W₂ is the distance between where the paths start and the data where they should end, in the space of the flow.

    Args:
        test: ``(n, *event)``; the first are used.
    """
    end = model.end(test[:POINTS])
    start = model.start(model.prior().sample((len(end),)))
    energy, least = path_energy(model.flow.field, start), wasserstein_2(start, end) ** 2
    return {"path_energy": energy, "normalised_path_energy": abs(energy - least) / least}


def _measure(subject: Subject) -> dict[str, Measured]:
    n = min(len(subject.samples), len(subject.test), POINTS)
    return over(n, sample_distance(subject.samples, subject.test))


def _measure_paths(subject: Subject) -> dict[str, Measured]:
    test = subject.test[: min(subject.budget.samples, POINTS)]
    return over(len(test), straightness(subject.continuous, test))


FAMILIES = [
    Family("straightness", lambda subject: subject.is_planar and subject.is_continuous, _measure_paths),
    Family("transport", lambda subject: subject.is_planar, _measure),
]
