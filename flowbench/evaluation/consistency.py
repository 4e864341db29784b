"""Whether a trained flow agrees with itself: densities of samples from both sides, and in both precisions."""

import copy

import torch
from torch import Tensor

from flowbench.core import Generator
from flowbench.evaluation.likelihood import bits_per_dim
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured
from flowbench.runtime.seeding import seeded

_PROBES_SEED = 0


@torch.no_grad()
def consistency(model: Generator, test: Tensor, points: int, batch_size: int) -> dict[str, float]:
    """Largest differences, in bits per dim, of log-densities that should be one.

    For samples: the log-density that decode gives (`FlowModel.sample_with_log_prob`) against that of encode
    (`FlowModel.log_prob`), in float64. For test data: float32 against float64. If probes estimate a density, both of a
    pair use the same probes, since their noise would hide the difference.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples, and of samples.
        batch_size: examples per pass.
    """
    precise = copy.deepcopy(model).double()
    x, _ = model.transform_input(test[:points])
    of_samples = []
    for z in precise.prior().sample((points,)).split(batch_size):
        with seeded(_PROBES_SEED):
            sample, logdet = precise.transform.decode(z)
        there = precise.prior().log_prob(z) - logdet
        of_samples.append((there - _log_prob(precise, sample)).abs())
    of_precisions = [
        (_log_prob(model, part).double() - _log_prob(precise, part.double())).abs() for part in x.split(batch_size)
    ]
    largest = {"sample_log_prob_error_max": of_samples, "log_prob_error_max": of_precisions}
    dims = x[0].numel() - model.classes
    return {
        name: bits_per_dim(float(torch.cat(errors).nan_to_num(nan=torch.inf, posinf=torch.inf).max()), dims)
        for name, errors in largest.items()
    }


def _log_prob(model: Generator, x: Tensor) -> Tensor:
    """Of dequantised data, ``(n,)``."""
    with seeded(_PROBES_SEED):
        z, logdet = model.transform.encode(x)
    return model.prior().log_prob(z) + logdet


def _measure(subject: Subject) -> dict[str, Measured]:
    points, test = subject.budget.invertibility_points, subject.test
    n = {"sample_log_prob_error_max": points, "log_prob_error_max": min(points, len(test))}
    values = consistency(subject.model, test, points, subject.budget.batch_size)
    return {name: Measured(value, n[name]) for name, value in values.items()}


FAMILIES = [Family("consistency", lambda subject: subject.is_flow, _measure)]
