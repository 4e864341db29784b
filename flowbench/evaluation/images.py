"""The pictures of a model of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.core import FittedModel, Generator
from flowbench.evaluation.subject import Family, Subject
from flowbench.layers.continuous import solving
from flowbench.metrics import Measured
from flowbench.plotting.images import IMAGES, image_samples, interpolations, reconstructions

# Below one, samples gather where the density is highest; images are usually shown like this.
_COOL = 0.7
_ROUND_TRIPS = 30
_WAYS, _STEPS = 12, 12


@torch.no_grad()
def draw_pictures(
    folder: Path, model: Generator, test: Tensor, latents: Tensor, samples: Tensor, white: int, title: str
) -> None:
    """Write ``samples.png`` and, for a flow, ``reconstructions.png`` and ``interpolation.png``.

    Args:
        test, samples: ``(n, channels, h, w)`` with grey levels from 0 to ``white``.
        latents: that the samples are of, ``(n, *latent)``. Scaled, they give the samples at another temperature.
    """
    panels = {"test data": test, "samples": samples}
    # A baseline has no map to speak of.
    if not isinstance(model, FittedModel):
        with solving(model, logdets=False):
            panels[f"samples at temperature {_COOL}"] = model.generate(_COOL * latents[:IMAGES])
            images, again = model.reconstruct(test[:_ROUND_TRIPS])
            reconstructions(folder / "reconstructions.png", _array(images), _array(again), title)
            pairs = min(_WAYS, len(test) // 2)
            if pairs:
                ways = interpolate(model, test[:pairs], test[pairs : 2 * pairs], _STEPS)
                interpolations(folder / "interpolation.png", _array(ways), white, title)
    arrays = {name: _array(images[:IMAGES]) for name, images in panels.items()}
    image_samples(folder / "samples.png", arrays, white, title)


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


def _has_pictures(subject: Subject) -> bool:
    return subject.pictures is not None and bool(subject.cell.source.event.levels) and subject.samples is not None


def _draw(subject: Subject) -> dict[str, Measured]:
    assert subject.pictures is not None
    assert subject.samples is not None
    white = (subject.cell.source.event.levels or 0) - 1
    tensors = subject.test, subject.latents, subject.samples
    draw_pictures(subject.pictures, subject.model, *tensors, white, subject.cell.title)
    return {}


FAMILIES = [Family("pictures", _has_pictures, _draw)]
