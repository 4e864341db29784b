"""Log-likelihood of the test split."""

import math

import numpy as np
import torch
from torch import Tensor

from flowbench import data
from flowbench.core import FlowModel
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured, over


@torch.no_grad()
def negative_log_likelihoods(model: FlowModel, test: Tensor, draws: int, batch_size: int) -> Tensor:
    """-log p(x) of each example in data space and in nats, ``(draws, n)`` float64.

    Args:
        test: ``(n, *event)``.
        draws: dequantisation draws per example; data without grey levels needs only one, and gets no more.
        batch_size: examples per pass.
    """
    batches = test.split(batch_size)
    repeats = draws if model.dequantise else 1
    return torch.stack([torch.cat([-model.log_prob(x).double() for x in batches]) for _ in range(repeats)])


def likelihood(nats: Tensor, dims: int) -> dict[str, float]:
    """Mean negative log-likelihood in nats per example and in bits per dim, and how sure it is.

    The standard error is that of a mean over the test examples, which are a sample themselves. The noise's standard
    deviation is that of the split's mean from draw to draw; the mean over all draws varies less.

    Args:
        nats: of each draw and example, ``(draws, n)``.
        dims: number of dimensions of an example.
    """
    draws, n = nats.shape
    values = {"bits_per_dim": float(nats.mean())}
    if n > 1:
        values["bits_per_dim_standard_error"] = float(nats.mean(0).std()) / math.sqrt(n)
    if draws > 1:
        values["bits_per_dim_noise_std"] = float(nats.mean(1).std())
    return {"nll_nats": float(nats.mean())} | {name: bits_per_dim(value, dims) for name, value in values.items()}


def bits_per_dim(nats: float, dims: int) -> float:
    """Nats per example as bits per dimension."""
    return nats / (dims * math.log(2))


def _measure(subject: Subject) -> dict[str, Measured]:
    model, test, budget = subject.model, subject.test, subject.budget
    assert isinstance(model, FlowModel)
    nats = negative_log_likelihoods(model, test, budget.noise_draws, budget.batch_size)
    subject.log_prob = -nats.mean(0).cpu().numpy().astype(np.float32)
    draws = over(1, {"noise_draws": len(nats)}) if model.dequantise else {}
    return over(len(test), likelihood(nats, test[0].numel())) | draws


def _measure_truth(subject: Subject) -> dict[str, Measured]:
    source, test = subject.cell.source, subject.test
    truth = source.log_density(test.cpu().double())
    assert truth is not None
    floor, dims = data.saved_entropy(subject.cell.data_folder), source.event.dims
    assert floor is not None
    return {
        "entropy_floor_bits_per_dim": Measured(bits_per_dim(floor, dims), 1),
        "true_bits_per_dim": Measured(bits_per_dim(-float(truth.mean()), dims), len(test)),
    }


FAMILIES = [
    Family("likelihood", lambda subject: isinstance(subject.model, FlowModel), _measure),
    Family("truth", lambda subject: data.saved_entropy(subject.cell.data_folder) is not None, _measure_truth),
]
