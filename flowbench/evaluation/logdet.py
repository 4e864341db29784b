"""Log-determinants of a trained flow against autograd."""

import copy

import torch
from torch import Tensor

from flowbench.core import Generator
from flowbench.evaluation.subject import Family, Subject
from flowbench.layers.continuous import ContinuousFlow
from flowbench.layers.residual import solve_exactly
from flowbench.metrics import Measured, over


@torch.enable_grad()
def logdet(model: Generator, test: Tensor, points: int) -> dict[str, float]:
    """Largest error of either log-determinant and of their sum, in nats, in float64.

    Where probes estimate a divergence or a determinant, that of the same map with the exact one, or their noise would
    hide the error.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples; each costs O(D²) memory and D backward passes.
    """
    with torch.no_grad():
        x, _ = model.transform_input(test[:points])
    transform = solve_exactly(copy.deepcopy(model.transform))
    for part in transform.modules():
        if isinstance(part, ContinuousFlow):
            part.probes = None
    return {"logdet_error_max": transform.check(x).logdet_error}


def _measure(subject: Subject) -> dict[str, Measured]:
    points = min(subject.budget.logdet_points, len(subject.test))
    return over(points, logdet(subject.model, subject.test, points))


FAMILIES = [Family("logdet", lambda subject: subject.is_flow and subject.budget.logdet_points > 0, _measure)]
