"""The pictures of a model of images. A baseline has samples alone, for it has no map to speak of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.core import Generator
from flowbench.evaluation.subject import Pictures, Subject, generate
from flowbench.layers.continuous import solving
from flowbench.plotting.images import IMAGES, image_samples, interpolations, reconstructions

# Below one, samples gather where the density is highest; images are usually shown like this.
_COOL = 0.7
_ROUND_TRIPS = 30
_WAYS, _STEPS = 12, 12


def _draw_samples(subject: Subject, folder: Path) -> None:
    """Test data, samples and, of a flow, samples of the same latents at another temperature."""
    panels = {"test data": subject.test, "samples": subject.samples}
    if subject.is_flow:
        cool = generate(subject.model, subject.model.warmed(subject.latents[:IMAGES], _COOL), subject.budget.batch_size)
        panels[f"samples at temperature {_COOL}"] = cool
    arrays = {name: _array(images[:IMAGES]) for name, images in panels.items()}
    image_samples(folder / "samples.png", arrays, _white(subject), subject.cell.title)


def _draw_reconstructions(subject: Subject, folder: Path) -> None:
    with solving(subject.model, logdets=False):
        images, again = subject.model.reconstruct(subject.test[:_ROUND_TRIPS])
    reconstructions(folder / "reconstructions.png", _array(images), _array(again), subject.cell.title)


def _draw_interpolation(subject: Subject, folder: Path) -> None:
    pairs = min(_WAYS, len(subject.test) // 2)
    with solving(subject.model, logdets=False):
        ways = interpolate(subject.model, subject.test[:pairs], subject.test[pairs : 2 * pairs], _STEPS)
    interpolations(folder / "interpolation.png", _array(ways), _white(subject), subject.cell.title)


@torch.no_grad()
def interpolate(model: Generator, first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Images on the way from ``first`` to ``last``, ``(n, *event)`` each, both included: ``(n, steps, *event)``.

    The way is an arc about the origin of the latent space (White 2016, 1609.04468). In many dimensions a normal
    prior has its mass near a sphere, and a straight line would cut through the inside, where no sample lies.
    """
    ends = model.encode(first)[0], model.encode(last)[0]
    z = torch.stack([slerp(*ends, t) for t in torch.linspace(0, 1, steps).tolist()], 1)
    return model.generate(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """[sin((1-t)Ω) a + sin(tΩ) b] / sin Ω for vectors ``(n, D)`` at an angle Ω (Shoemake 1985, section 3.3)."""
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1)[:, None]
    # With no angle between them, or a straight one, this would be 0 / 0.
    angle = torch.arccos(cosine.clamp(-1, 1)).clamp(1e-3, torch.pi - 1e-3)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()


def _white(subject: Subject) -> int:
    return (subject.cell.source.event.levels or 0) - 1


def _shows(subject: Subject) -> bool:
    return bool(subject.cell.source.event.levels)


PICTURES = [
    Pictures("samples", _shows, _draw_samples),
    Pictures("reconstructions", lambda subject: _shows(subject) and subject.is_flow, _draw_reconstructions),
    Pictures(
        "interpolation",
        lambda subject: _shows(subject) and subject.is_flow and len(subject.test) > 1,
        _draw_interpolation,
    ),
]
