"""Learnt moments beside the true ones."""

import torch
from torch import Tensor

from flowbench.evaluation.subject import Family, Subject, generate
from flowbench.metrics import Measured, over

# Moments need more samples than distances do, and only one pass over them.
_SAMPLES = 200_000


def moments(samples: Tensor, true_mean: Tensor, true_std: Tensor) -> dict[str, float]:
    """Mean and standard deviation of ``(n, D)`` samples, the truth ``(D,)``, and the largest errors in true std."""
    mean, std = samples.double().mean(0), samples.double().std(0)
    values = {
        "learnt_mean_error": float(((mean - true_mean) / true_std).abs().max()),
        "learnt_std_error": float(((std - true_std) / true_std).abs().max()),
    }
    vectors = {"learnt_mean": mean, "learnt_std": std, "true_mean": true_mean, "true_std": true_std}
    for name, vector in vectors.items():
        values |= {f"{name}_x{i}": float(value) for i, value in enumerate(vector, start=1)}
    return values


def _measure(subject: Subject) -> dict[str, Measured]:
    truth = subject.cell.source.moments()
    assert truth is not None
    # At once, so that the samples do not depend on the size of a batch.
    latents = subject.model.prior().sample((_SAMPLES,))
    drawn = generate(subject.model, latents, subject.budget.batch_size)
    return over(_SAMPLES, moments(drawn.cpu(), *map(torch.tensor, truth)))


FAMILIES = [Family("moments", lambda subject: subject.cell.source.moments() is not None, _measure)]
