"""Densities in the plane: their integral, their distance from a target, and their pictures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from flowbench.core import FlowModel
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured
from flowbench.numerics.quadrature import Grid, log_integral
from flowbench.plotting import densities


def kl_to_target(model_log_prob: Tensor, target_log_energy: Tensor, grid: Grid) -> float:
    """KL(model ‖ target) in nats by quadrature.

    Args:
        model_log_prob, target_log_energy: ``(size²,)`` on the grid, in nats; the energy's normaliser is computed
            on the same grid.
    """
    log_q, log_p = model_log_prob.double(), target_log_energy.double()
    log_p = log_p - log_integral(log_p, grid)
    q = log_q.exp()
    # Where the model has no mass its log may be -inf, and the integrand is zero.
    integrand = torch.where(q > 0, q * (log_q - log_p), torch.zeros_like(q))
    return float(integrand.sum()) * grid.cell_area


def minor_mode_share(samples: Tensor) -> float:
    """Share of ``(n, 2)`` samples on the less visited side of x₁ = 0, where the modes of the two-mode energy part."""
    right = float((samples[:, 0] > 0).double().mean())
    return min(right, 1 - right)


def outside_share(samples: Tensor, grid: Grid) -> float:
    """Share of ``(n, 2)`` samples that lie outside of the grid's square."""
    return 1 - float(((samples > grid.low) & (samples < grid.high)).all(1).double().mean())


def _measure(subject: Subject) -> dict[str, Measured]:
    source, samples, model = subject.cell.source, subject.samples, subject.model
    assert source.grid is not None
    assert samples is not None
    assert isinstance(model, FlowModel)
    grid = Grid(source.grid.low, source.grid.high, subject.budget.grid)
    device = subject.cell.device
    log_prob = grid.evaluate(lambda x: model.log_prob(x.to(device)).cpu())
    mass, outside = float(np.exp(log_integral(log_prob, grid))), outside_share(samples, grid)
    values = {
        "density_mass": Measured(mass, len(log_prob)),
        "outside_share": Measured(outside, len(samples)),
        "mass_error": Measured(abs(mass + outside - 1), len(samples)),
    }
    if source.is_energy:
        kl = kl_to_target(log_prob, grid.evaluate(source.log_energy), grid)
        values["kl_to_target"] = Measured(kl, len(log_prob))
        values["minor_mode_share"] = Measured(minor_mode_share(samples), len(samples))
    if subject.pictures:
        _draw(subject, log_prob, grid)
    return values


def _draw(subject: Subject, log_prob: Tensor, grid: Grid) -> None:
    """The density beside the truth and, for an energy, how it was learnt."""
    source, square = subject.cell.source, (grid.size, grid.size)
    assert subject.pictures is not None
    assert subject.samples is not None
    truth = None
    if source.log_density(grid.points()[:1]) is not None:
        truth = grid.evaluate(source.log_density).view(square).numpy()
    densities.density(
        subject.pictures / "density.png",
        subject.cell.splits["test"],
        subject.samples.cpu().numpy(),
        log_prob.view(square).numpy(),
        grid,
        truth,
        subject.cell.title,
    )
    snapshots = subject.training.snapshots()
    if snapshots and truth is not None:
        title = f"{subject.cell.title}, while training"
        densities.film_strip(subject.pictures / "training.png", *snapshots, np.exp(truth), grid, title)


def _applies(subject: Subject) -> bool:
    return subject.is_planar and isinstance(subject.model, FlowModel) and subject.samples is not None


FAMILIES = [Family("grid", _applies, _measure)]
