"""What a model without a density of data is measured by: its reconstructions, and the density its flow has."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from flowbench.core import FlowModel, Generator
from flowbench.evaluation.likelihood import bits_per_dim
from flowbench.evaluation.subject import Family, Pictures, Subject
from flowbench.metrics import Measured, over
from flowbench.plotting import maps
from flowbench.plotting.images import learning, while_training

# In the picture of the latent space.
_POINTS = 2000


@torch.no_grad()
def autoencoder(model: Generator, test: Tensor, batch_size: int) -> dict[str, float]:
    """Mean squared error per value of reconstructions in the unit interval, its PSNR, and bits per latent dimension.

    The peak signal-to-noise ratio is -10 log₁₀ of the mean squared error over all of ``test``, in dB. The bits are
    -log p(c) / (d ln 2) of the flow's input, which for an autoencoder is codes c of d dimensions.

    Args:
        test: ``(n, *event)``.
        batch_size: examples per pass.
    """
    squares, nats = [], []
    for batch in test.split(batch_size):
        x, again = model.reconstruct(batch)
        squares.append((x - again).double().square().flatten(1).mean(1))
        z, logdet = model.encode(batch)
        nats.append(-(model.log_prior(z) + logdet).double())
    error = float(torch.cat(squares).mean())
    return {
        "reconstruction_error": error,
        "psnr": -10 * math.log10(error) if error else math.inf,
        "latent_bits_per_dim": bits_per_dim(float(torch.cat(nats).mean()), z[0].numel()),
    }


def _measure(subject: Subject) -> dict[str, Measured]:
    return over(len(subject.test), autoencoder(subject.model, subject.test, subject.budget.batch_size))


def principal_plane(x: Tensor) -> Tensor:
    """The two directions ``(D, 2)`` in which points ``(n, D)`` vary most, each with its largest number above zero."""
    _, _, directions = torch.linalg.svd((x - x.mean(0)).double(), full_matrices=False)
    plane = torch.nn.functional.pad(directions[:2], (0, 0, 0, max(0, 2 - len(directions)))).T
    # Otherwise the sign would be the library's choice.
    return plane * plane.gather(0, plane.abs().argmax(0, keepdim=True)).sign()


def _draw_latents(subject: Subject, folder: Path) -> None:
    """Codes, what the flow makes of them, and the prior that samples come from, in the plane where the codes vary."""
    model = subject.model
    codes, _ = model.transform_input(subject.test[:_POINTS])
    latents, _ = model.transform.encode(codes)
    prior = model.prior().sample((len(codes),))
    finite = codes[codes.isfinite().all(1)]
    if not len(finite):
        return
    plane = principal_plane(finite)
    flat = [((values - values.mean(0)).double() @ plane).cpu().numpy() for values in (codes, latents, prior)]
    names = "codes of test data", "their latents", "samples of the prior"
    maps.clouds(
        folder / "latent.png",
        dict(zip(names, flat, strict=True)),
        dict.fromkeys(names[:2], flat[0][:, 0].argsort().argsort()),  # to see where the flow takes each
        f"{subject.cell.title}: latent space",
    )


def _draw_training(subject: Subject, folder: Path) -> None:
    """The first validation images and their reconstructions at each snapshot, if any was taken."""
    if (found := subject.training.snapshots()) is None:
        return
    cell, (pairs, steps) = subject.cell, found
    images, frames = pairs[0, 0] / 255, pairs[:, 1] / 255
    of_epoch = cell.train.batch_size / len(cell.splits["train"])
    captions = [f"step {step:,}, epoch {step * of_epoch:.1f}" for step in steps]
    title = f"{cell.title}, while training"
    while_training(folder / "training.png", images, dict(zip(captions, frames, strict=True)), "validation data", title)
    learning(folder / "reconstructions-training.png", images, frames, captions, title)


def _applies(subject: Subject) -> bool:
    return not isinstance(subject.model, FlowModel)


FAMILIES = [Family("autoencoder", _applies, _measure)]
PICTURES = [
    Pictures("latents", _applies, _draw_latents),
    Pictures("training", _applies, _draw_training),
]
