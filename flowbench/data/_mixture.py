"""The density of a mixture of Gaussians, which several sources share."""

import math

import torch
from torch import Tensor


def log_mixture(x: Tensor, centres: Tensor, weights: Tensor, std: float, chunk: int = 8192) -> Tensor:
    """log Σₖ wₖ N(x; cₖ, std² I) of points ``(batch, 2)``, in float64: ``(batch,)``, in nats.

    Args:
        x: the points.
        centres: ``(k, 2)``.
        weights: ``(k,)``; their sum is one.
        std: standard deviation along each axis.
        chunk: points at a time; memory is O(chunk · k).
    """
    # The exponent c·x - ½|c|² - ½|x|² is one matrix product. It needs float64, because float32 is not exact enough.
    x, centres, weights = (tensor.to(x.device, torch.float64) for tensor in (x, centres, weights))
    x, centres = x / std, centres / std
    offset = weights.log() - centres.square().sum(1) / 2
    parts = [torch.logsumexp(torch.addmm(offset, part, centres.T), 1) for part in x.split(chunk)]
    return torch.cat(parts) - x.square().sum(1) / 2 - math.log(2 * math.pi * std**2)
