"""Round-trip errors of a trained flow: on data, on prior samples and off the data."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from flowbench.core import FlowModel, FlowModule

_CHUNK = 4096


@torch.no_grad()
def invertibility(model: FlowModel, test: Tensor, points: int) -> dict[str, float]:
    """Errors of ``decode(encode(x))`` and ``encode(decode(z))``, element-wise, in float32 and float64.

    The dequantised data is what makes the round trip: rounding to grey levels would hide the errors.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples, of prior samples and of noise points.
    """
    x, _ = model.continuous(test[:points])
    z = model.prior().sample((points,))
    low, high = x.amin(0), x.amax(0)
    noise = low + (high - low) * torch.rand(points, *x.shape[1:], device=x.device)

    transform = model.transform
    data_errors = _errors(transform, x, latent=False)
    latent_errors = _errors(transform, z, latent=True)
    noise_errors = _errors(transform, noise, latent=False)
    trips = torch.cat([e.flatten(1).isfinite().all(1) for e in (data_errors, latent_errors, noise_errors)])
    double = copy.deepcopy(transform).double()
    return {
        "invertibility_error_max": _max(data_errors),
        "invertibility_error_mean": float(data_errors.double().mean()),
        "invertibility_error_p99": _quantile(data_errors, 0.99),
        "invertibility_error_max_noise": _max(noise_errors),
        "latent_invertibility_error_max": _max(latent_errors),
        "invertibility_error_max_float64": _max(_errors(double, x.double(), latent=False)),
        "latent_invertibility_error_max_float64": _max(_errors(double, z.double(), latent=True)),
        "non_finite_share": 1 - float(trips.double().mean()),
    }


def _errors(transform: FlowModule, points: Tensor, *, latent: bool) -> Tensor:
    """``|point - round trip|``, of the shape of ``points``."""
    first, second = (transform.decode, transform.encode) if latent else (transform.encode, transform.decode)
    return torch.cat([(part - second(first(part)[0])[0]).abs() for part in points.split(_CHUNK)])


def _max(errors: Tensor) -> float:
    """The largest error; infinite if any is not a number."""
    return float(errors.nan_to_num(nan=math.inf, posinf=math.inf).max())


def _quantile(errors: Tensor, q: float) -> float:
    """The smallest error that a share ``q`` of the errors does not exceed; of tensors of any size."""
    values = errors.nan_to_num(nan=math.inf, posinf=math.inf).flatten()
    return float(values.kthvalue(max(1, math.ceil(q * values.numel()))).values)
