"""What a model without a density of data is measured by: its reconstructions, and the density its flow has."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flowbench.core import FlowModel, Generator
from flowbench.evaluation.likelihood import bits_per_dim
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured, over


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


FAMILIES = [Family("autoencoder", lambda subject: not isinstance(subject.model, FlowModel), _measure)]
