"""What the solver of a continuous flow costs, how much it errs, and how good samples of few steps are."""

import copy
import math

import torch
from torch import Tensor

from flowbench.evaluation.invertibility import in_units
from flowbench.evaluation.likelihood import bits_per_dim
from flowbench.evaluation.subject import Family, Subject
from flowbench.evaluation.two_sample import energy_distance
from flowbench.flows._continuous import ContinuousModel
from flowbench.layers.continuous import FixedStep, Solution, solving
from flowbench.metrics import FEW_EVALUATIONS, Measured, over
from flowbench.networks.field import VectorField
from flowbench.runtime.seeding import seeded

# The distance is quadratic in their number.
_MOST_SAMPLES = 1000
# Sets of other test data whose distances are averaged.
_MOST_OTHERS = 10
# Directions in which a field is differentiated at once.
_DIRECTIONS = 64
# Evaluations of the field in one step.
_EVALUATIONS: dict[FixedStep, int] = {"euler": 1, "midpoint": 2}


@torch.no_grad()
def solver(model: ContinuousModel, test: Tensor, points: int, unit: Tensor | float = 1.0) -> dict[str, float]:
    """Evaluations of the field, what a tighter tolerance changes, and the spread of Hutchinson's probes.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples, and of prior samples.
        unit: in which errors of data are counted, of the shape of an event.
    """
    x, _ = model.transform_input(test[:points])
    dims = test[0].numel()
    # With the same probes, or their noise would hide the solver's error.
    probes_seed = int(torch.randint(2**31, ()))
    log_prob, solution = _log_prob(model, x, probes_seed)
    _, sample_evaluations = model.flow.transport(model.start(model.prior().sample((points,))))
    precise = copy.deepcopy(model).double()
    with solving(precise, tolerance_factor=0.1):
        change = log_prob - _log_prob(precise, x.double(), probes_seed)[0]
        with solving(precise, logdets=False):
            again, _ = precise.transform.decode(precise.transform.encode(x.double())[0])
    values = {
        "solver_tolerance": model.flow.tolerance,
        "log_prob_evaluations": solution.evaluations,
        "sample_evaluations": sample_evaluations,
        "bits_per_dim_solver_error": bits_per_dim(abs(float(change.mean())), dims),
        "invertibility_error_max_tightened": float(in_units((x - again).abs()[:, model.classes :], unit).max()),
    }
    if model.flow.probes is not None:
        variance = float(solution.logdets.double().var(1).mean())
        values |= {"probes": model.flow.probes, "bits_per_dim_probe_std": bits_per_dim(variance**0.5, dims)}
    return values


def _log_prob(model: ContinuousModel, x: Tensor, seed: int) -> tuple[Tensor, Solution]:
    """The log-density of where the flow takes dequantised data from, ``(n,)`` float64, and how it was found."""
    with seeded(seed):
        solution = model.flow.solve(model.approach(x), 1.0, 0.0)
    return (model.prior().log_prob(model.latent(solution.x)) + solution.logdets.mean(1)).double(), solution


@torch.no_grad()
def divergence(model: ContinuousModel, test: Tensor) -> dict[str, float]:
    """Largest error of the divergence that probes estimate, in nats per unit of time, in float64.

    If all unit vectors replace the probes, it is exact, and must be the trace of the Jacobian that
    forward-mode differentiation finds. At a sample of the prior, a test example and halfway between them.

    Args:
        test: ``(n, *event)``; the first is used, at the cost of 6 D passes of the field, of D dimensions.
    """
    precise = copy.deepcopy(model).double()
    x, _ = model.transform_input(test[:1])
    start, end = precise.start(precise.prior().sample((1,))), precise.approach(x.double())
    units = torch.eye(end.numel(), dtype=end.dtype, device=end.device).view(-1, *end.shape).split(_DIRECTIONS)
    errors = []
    for t in torch.tensor([0.0, 0.5, 1.0], dtype=end.dtype, device=end.device):
        x = start + t * (end - start)
        integrated = sum(float(precise.flow.field.quadratic_forms(t, x, part)[1].sum()) for part in units)
        trace = sum(_trace(precise.flow.field, t, x, part) for part in units)
        errors.append(abs(integrated - trace))
    return {"divergence_error_max": max(math.inf if math.isnan(error) else error for error in errors)}


def _trace(field: VectorField, t: Tensor, x: Tensor, units: Tensor) -> float:
    """The entries of the Jacobian's diagonal that the unit vectors ``(k, *x.shape)`` stand for, added up."""

    def entry(unit: Tensor) -> Tensor:
        return (unit * torch.func.jvp(lambda x: field(t, x), (x,), (unit,))[1]).sum()

    return float(torch.func.vmap(entry)(units).sum())


@torch.no_grad()
def few_steps(model: ContinuousModel, test: Tensor, samples: int, unit: Tensor | float = 1.0) -> dict[str, float]:
    """Energy distance between test data and samples of few evaluations of the field, all from the same latents.

    Beside it stands the mean distance between these and equally many other test data, which only chance beats.

    Args:
        test: ``(n, *event)``; the first are used, and half of them at most.
        samples: their number, 1,000 at most.
        unit: in which each feature is counted, of the shape of an event.
    """
    count = min(samples, _MOST_SAMPLES, len(test) // 2)
    z = model.prior().sample((count,))
    test, *others = (test[: (1 + _MOST_OTHERS) * count].to(z.dtype) / unit).flatten(1).split(count)
    start = model.start(z)
    drawn = {"adaptive": model.generate(z)}
    for method, evaluations in _EVALUATIONS.items():
        for budget in FEW_EVALUATIONS:
            *_, (_, end) = model.flow.steps(start, method, budget // evaluations)
            drawn[f"{method}_{budget}"] = model.arrive(end)
    floor = [energy_distance(other, test) for other in others if len(other) == count]
    return {"energy_distance_data": sum(floor) / len(floor)} | {
        f"energy_distance_{name}": energy_distance((x / unit).flatten(1), test) for name, x in drawn.items()
    }


def _measure(subject: Subject) -> dict[str, Measured]:
    points = subject.budget.invertibility_points
    return over(min(points, len(subject.test)), solver(subject.continuous, subject.test, points, subject.unit))


def _measure_few_steps(subject: Subject) -> dict[str, Measured]:
    count = min(subject.budget.samples, _MOST_SAMPLES, len(subject.split) // 2)
    return over(count, few_steps(subject.continuous, subject.split, count, subject.unit))


FAMILIES = [
    Family("solver", lambda subject: subject.is_continuous, _measure),
    # Half of the split is test data, and the other half at least one set of other test data.
    Family("few steps", lambda subject: subject.is_continuous and len(subject.split) > 1, _measure_few_steps),
    Family(
        "divergence",
        lambda subject: subject.is_continuous and subject.model.likelihood == "estimate",
        lambda subject: over(1, divergence(subject.continuous, subject.test)),
    ),
]
