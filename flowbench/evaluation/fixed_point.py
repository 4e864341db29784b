"""How an inverse that is a fixed point was found."""

import copy

import torch

from flowbench.core import FlowSequential, Generator
from flowbench.evaluation.subject import Family, Subject
from flowbench.layers.residual import Residual
from flowbench.metrics import Measured, over


@torch.no_grad()
def fixed_points(model: Generator, points: int) -> dict[str, float]:
    """The most steps of any residual layer for any of ``points`` prior samples, and the largest bound on its error.

    In float64, where most steps are needed. The error is relative to one and the size of what is inverted.
    """
    transform = copy.deepcopy(model.transform).double()
    assert isinstance(transform, FlowSequential)
    x = model.prior().sample((points,)).double()
    iterations, error = 0, 0.0
    for layer in reversed(transform.chain):
        if isinstance(layer, Residual):
            solution = layer.solve(x)
            iterations = max(iterations, int(solution.iterations.max()))
            error = max(error, float(solution.errors.nan_to_num(nan=torch.inf).max()))
            x = solution.x
        else:
            x, _ = layer.decode(x)
    return {"fixed_point_iterations": iterations, "fixed_point_error": error}


def _applies(subject: Subject) -> bool:
    transform = subject.model.transform
    return isinstance(transform, FlowSequential) and any(isinstance(layer, Residual) for layer in transform.chain)


def _measure(subject: Subject) -> dict[str, Measured]:
    points = subject.budget.invertibility_points
    return over(points, fixed_points(subject.model, points))


FAMILIES = [Family("fixed point", _applies, _measure)]
