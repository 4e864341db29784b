"""Log-likelihood of the test split."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowbench.core import FlowModel

_CHUNK = 4096


@torch.no_grad()
def likelihood(model: FlowModel, test: Tensor, draws: int) -> dict[str, float]:
    """Mean negative log-likelihood in data space, in nats per example and in bits per dim.

    Args:
        test: ``(n, *event)``.
        draws: dequantisation draws per example, averaged over; data without grey levels needs only one.
    """
    repeats = draws if model.dequantise else 1
    total = sum(float(-model.log_prob(x).double().sum()) for _ in range(repeats) for x in test.split(_CHUNK))
    nats = total / (repeats * len(test))
    return {"nll_nats": nats, "bits_per_dim": bits_per_dim(nats, test[0].numel())}


def bits_per_dim(nats: float, dims: int) -> float:
    """Nats per example as bits per dimension."""
    return nats / (dims * math.log(2))
