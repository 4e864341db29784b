"""Log-determinants of a trained flow against autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.core import FlowModel


def logdet(model: FlowModel, test: Tensor, points: int) -> dict[str, float]:
    """Largest error of either log-determinant and of their sum, in nats, in float64.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples; each costs O(D²) memory and D backward passes.
    """
    with torch.no_grad():
        x, _ = model.continuous(test[:points])
    return {"logdet_error_max": model.transform.check(x).logdet_error}
