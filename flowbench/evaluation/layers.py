"""The picture of a flow of the line or the plane: samples after each of its maps, from latents to data."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from flowbench.core import FlowModel, FlowSequential, Inverse
from flowbench.evaluation.subject import Pictures, Subject
from flowbench.plotting.densities import spread
from flowbench.plotting.layers import through_layers

# By the number of dimensions: a histogram needs more.
_POINTS = {1: 5000, 2: 400}
_PANELS = 40


def through(model: FlowModel, z: Tensor) -> list[tuple[str, Tensor]]:
    """Latents ``(n, *latent)`` and where they are after each map towards data, each with a name."""
    assert isinstance(model.transform, FlowSequential)
    found = [("latents", z)]
    for i, layer in enumerate(reversed(model.transform.chain), start=1):
        z = layer.decode(z)[0]
        found.append((f"{i} {type(layer.module if isinstance(layer, Inverse) else layer).__name__}", z))
    return found


def _draw(subject: Subject, folder: Path) -> None:
    model, count = subject.model, _POINTS[subject.cell.source.event.dims]
    latents = subject.latents[:count]
    assert isinstance(model, FlowModel)
    seen = through(model, latents)
    shown = [seen[i] for i in spread(len(seen), _PANELS)]
    panels = [(name, x.cpu().numpy()) for name, x in [*shown, ("test data", subject.test[:count])]]
    colours = latents[:, 0].argsort().argsort().cpu().numpy()
    through_layers(folder / "layers.png", panels, colours, f"{subject.cell.title}: after each layer")


def _applies(subject: Subject) -> bool:
    """Whether the examples are numbers or points that distinct maps move, one after the other."""
    model, event = subject.model, subject.cell.source.event
    flat = len(event.shape) == 1 and event.dims <= 2 and not event.levels
    steps = isinstance(model, FlowModel) and isinstance(model.transform, FlowSequential) and not model.continuous
    return flat and steps and subject.is_flow


PICTURES = [Pictures("layers", _applies, _draw)]
