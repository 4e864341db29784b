"""Round-trip errors of a trained flow: on data, on prior samples and off the data."""

import copy
import math

import torch
from torch import Tensor

from flowbench.core import FlowModule, Generator
from flowbench.core.checks import largest
from flowbench.evaluation.subject import Family, Subject
from flowbench.layers.continuous import solving
from flowbench.metrics import Measured


@torch.no_grad()
def invertibility(
    model: Generator, test: Tensor, points: int, batch_size: int, unit: Tensor | float = 1.0
) -> dict[str, float]:
    """Errors of ``decode(encode(x))`` and ``encode(decode(z))``, element-wise, in float32 and float64.

    The dequantised data is what makes the round trip: rounding to grey levels would hide the errors. Continuous flows
    make it without a log-determinant, because its error would change the solver's steps.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of test examples, of prior samples and of noise points.
        batch_size: examples per pass.
        unit: in which errors of data are counted, of the shape of an event.
    """
    x, _ = model.transform_input(test[:points])
    z = model.prior().sample((points,))
    starts = {
        "invertibility_error_max": (x, False),
        "invertibility_error_max_noise": (noise_over(x, points), False),
        "latent_invertibility_error_max": (z, True),
    }
    transforms = {"": model.transform, "_float64": copy.deepcopy(model.transform).double()}

    values: dict[str, float] = {}
    for precision, transform in transforms.items():
        finite = []
        for name, (start, latent) in starts.items():
            errors = round_trip(transform, start.double() if precision else start, batch_size, latent)
            errors = errors if latent else in_units(errors[:, model.classes :], unit)
            values[name + precision] = largest(errors)
            finite.append(errors.flatten(1).isfinite().all(1))
            if start is x and not precision:
                values["invertibility_error_mean"] = float(errors.mean(dtype=torch.float64))
                values["invertibility_error_p99"] = _quantile(errors, 0.99)
        values[f"non_finite_share{precision}"] = 1 - float(torch.cat(finite).double().mean())
    return values


def noise_over(x: Tensor, count: int) -> Tensor:
    """Uniform noise ``(count, *event)`` in the box that just holds data ``(n, *event)``."""
    low, high = x.amin(0), x.amax(0)
    return low + (high - low) * torch.rand(count, *x.shape[1:], device=x.device)


def round_trip(transform: FlowModule, starts: Tensor, batch_size: int, latent: bool) -> Tensor:
    """``|start - round trip|``, of the shape of ``starts``, which are latents or data."""
    first, second = (transform.decode, transform.encode) if latent else (transform.encode, transform.decode)
    with solving(transform, logdets=False):
        return torch.cat([(part - second(first(part)[0])[0]).abs() for part in starts.split(batch_size)])


def in_units(errors: Tensor, unit: Tensor | float) -> Tensor:
    """Errors of data ``(n, *event)`` in units of the shape of an event; the codes of an autoencoder have none."""
    return errors if isinstance(unit, Tensor) and errors.shape[1:] != unit.shape else errors / unit


def _quantile(errors: Tensor, q: float) -> float:
    """The smallest error that a share ``q`` of the errors does not exceed; of tensors of any size."""
    values = errors.nan_to_num(nan=math.inf, posinf=math.inf).flatten()
    return float(values.kthvalue(max(1, math.ceil(q * values.numel()))).values)


def _measure(subject: Subject) -> dict[str, Measured]:
    points, of_data = subject.budget.invertibility_points, min(subject.budget.invertibility_points, len(subject.test))
    values = invertibility(subject.model, subject.test, points, subject.budget.batch_size, subject.unit)
    n = {"non_finite_share": of_data + 2 * points, "non_finite_share_float64": of_data + 2 * points}
    n |= {name: points for name in values if "latent" in name or "noise" in name}
    return {name: Measured(value, n.get(name, of_data)) for name, value in values.items()}


FAMILIES = [Family("invertibility", lambda subject: subject.is_flow, _measure)]
