"""Where a flow stops being invertible: the protocol of Behrmann et al. (2021, 2006.09347, section 5)."""

import torch
from torch import Tensor

from flowbench.core import Generator, SolverError
from flowbench.evaluation.invertibility import in_units, noise_over, round_trip
from flowbench.evaluation.subject import Family, Subject
from flowbench.layers.continuous import solving
from flowbench.metrics import LATENT_STDS, Measured


@torch.no_grad()
def stress(
    model: Generator, test: Tensor, points: int, batch_size: int, unit: Tensor | float = 1.0
) -> dict[str, float]:
    """Round trips in float32 by their length |x - decode(encode(x))|₂ per example, and how many are not finite.

    On test data, on samples of the model and on uniform noise that covers the data; and of latents, drawn with 1 to 5
    times the standard deviation of the prior, |z - encode(decode(z))|₂.

    Args:
        test: ``(n, *event)``; the first ``points`` are used.
        points: number of examples of each kind.
        batch_size: examples per pass.
        unit: in which errors of data are counted, of the shape of an event.
    """
    x, _ = model.transform_input(test[:points])
    z = model.prior().sample((points,))
    with solving(model, logdets=False):
        samples = torch.cat([model.transform.decode(part)[0] for part in z.split(batch_size)])
    starts = {
        "data": (x, False),
        "samples": (samples, False),
        "noise": (noise_over(x, len(x)), False),
        **{f"latents_{k}_std": (model.warmed(z, k), True) for k in LATENT_STDS},
    }
    values: dict[str, float] = {}
    for name, (start, latent) in starts.items():
        lengths = _lengths(model, start, batch_size, latent, unit).double()
        finite = lengths.isfinite()
        values[f"l2_error_{name}"] = float(lengths[finite].mean()) if finite.any() else torch.inf
        values[f"lost_share_{name}"] = 1 - float(finite.double().mean())
    return values


def _lengths(model: Generator, starts: Tensor, batch_size: int, latent: bool, unit: Tensor | float) -> Tensor:
    """``(n,)``; of an example that a solver cannot follow, NaN."""
    try:
        errors = round_trip(model.transform, starts, batch_size, latent)
        return (errors if latent else in_units(errors[:, model.classes :], unit)).flatten(1).norm(dim=1)
    except SolverError:
        if len(starts) == 1:
            return starts.new_full((1,), torch.nan)
    # One of them stopped all: the halves find out which.
    halves = starts.tensor_split(2)
    return torch.cat([_lengths(model, half, batch_size, latent, unit) for half in halves])


def _measure(subject: Subject) -> dict[str, Measured]:
    points, of_data = subject.budget.invertibility_points, min(subject.budget.invertibility_points, len(subject.test))
    values = stress(subject.model, subject.test, points, subject.budget.batch_size, subject.unit)
    return {
        name: Measured(value, points if "latents" in name or "samples" in name else of_data)
        for name, value in values.items()
    }


FAMILIES = [Family("stress", lambda subject: subject.is_flow, _measure)]
