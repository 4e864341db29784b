"""Log-likelihood of the test split."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowbench.core import FlowModel


@torch.no_grad()
def likelihood(model: FlowModel, test: Tensor, draws: int, batch_size: int) -> dict[str, float]:
    """Mean negative log-likelihood in data space, in nats per example and in bits per dim, and how sure it is.

    The standard error is that of a mean over the test examples, which are a sample themselves; the noise's standard
    deviation is that of the split's mean from draw to draw, and the mean over all draws varies less.

    Args:
        test: ``(n, *event)``.
        draws: dequantisation draws per example, averaged over; data without grey levels needs only one.
        batch_size: examples per pass.
    """
    repeats = draws if model.dequantise else 1
    nats = torch.stack([_negative_log_prob(model, test, batch_size) for _ in range(repeats)])
    values = {"bits_per_dim": float(nats.mean())}
    if len(test) > 1:
        values["bits_per_dim_standard_error"] = float(nats.mean(0).std()) / math.sqrt(len(test))
    if repeats > 1:
        values["bits_per_dim_noise_std"] = float(nats.mean(1).std())
    values = {name: bits_per_dim(value, test[0].numel()) for name, value in values.items()}
    draws_used = {"noise_draws": repeats} if model.dequantise else {}
    return {"nll_nats": float(nats.mean()), **values, **draws_used}


def _negative_log_prob(model: FlowModel, test: Tensor, batch_size: int) -> Tensor:
    """Of each example, ``(n,)`` float64."""
    return torch.cat([-model.log_prob(x).double() for x in test.split(batch_size)])


def bits_per_dim(nats: float, dims: int) -> float:
    """Nats per example as bits per dimension."""
    return nats / (dims * math.log(2))
