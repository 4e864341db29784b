"""Densities in the plane: their integral, their distance from a target, and their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.core import FlowModel
from flowbench.evaluation.subject import Family, Pictures, Subject
from flowbench.metrics import Measured
from flowbench.numerics.annealing import beta
from flowbench.numerics.quadrature import Grid, log_integral
from flowbench.plotting import densities, maps

# The bent grid: cells a side, within the reach of so many samples, where the prior is no more nats below its peak.
_WARP_CELLS, _REACH_SAMPLES, _WARP_NATS, _WARP_TOLERANCE = 40, 1000, 5.0, 1e-3


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


def _square(subject: Subject, size: int) -> Grid:
    """So many cells a side of the square that the data lies in."""
    square = subject.cell.source.grid
    assert square is not None
    return replace(square, size=size)


def _truth(subject: Subject, grid: Grid) -> Tensor | None:
    """The true log-density, ``(size, size)``, where it is known."""
    log_density = subject.cell.source.log_density
    if log_density(grid.points()[:1]) is None:
        return None
    return grid.evaluate(log_density).view(grid.size, grid.size)


def _measure(subject: Subject) -> dict[str, Measured]:
    source, samples, model = subject.cell.source, subject.samples, subject.model
    assert isinstance(model, FlowModel)
    grid = _square(subject, subject.budget.grid)
    device = subject.cell.device
    subject.on_grid = log_prob = grid.evaluate(lambda x: model.log_prob(x.to(device)).cpu())
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
    return values


def _draw_density(subject: Subject, folder: Path) -> None:
    """The density beside the truth."""
    assert subject.on_grid is not None
    grid = _square(subject, subject.budget.grid)
    truth = _truth(subject, grid)
    densities.density(
        folder / "density.png",
        subject.cell.splits["test"],
        subject.samples.cpu().numpy(),
        subject.on_grid.view(grid.size, grid.size).numpy(),
        grid,
        None if truth is None else truth.numpy(),
        subject.cell.title,
    )


def _draw_training(subject: Subject, folder: Path) -> None:
    """How the density was learnt, as a strip and as an animation, if snapshots were taken."""
    if (found := subject.training.snapshots()) is None:
        return
    source, (frames, steps) = subject.cell.source, found
    grid = _square(subject, frames.shape[1])
    truth = _truth(subject, grid)
    if truth is not None:
        name, last = "true density", truth.exp().numpy()
    else:
        name, last = "test data", densities.histogram(subject.cell.splits["test"], grid)
        # Without the highest cells, which are noise and would set the scale of colours.
        last = last.clip(max=np.quantile(last[last > 0], 0.97)) if last.any() else last
    captions = [f"step {step:,}" for step in steps]
    if source.is_energy:
        target = grid.evaluate(source.log_energy)
        for i, (step, frame) in enumerate(zip(steps, frames, strict=True)):
            kl = kl_to_target(torch.from_numpy(frame).double().log().flatten(), target, grid)
            of_kl = f"KL {kl:.2f}" if np.isfinite(frame).all() else "no KL"
            captions[i] += f"\nβ {beta(step, subject.cell.train.anneal_steps):.2f}, {of_kl}"
    title = f"{subject.cell.title}, while training"
    densities.film_strip(folder / "training.png", frames, captions, last, name, grid, title)
    densities.learning(folder / "training-animation.png", frames, captions, last, name, grid, title)


def cell_corners(vertices: Tensor, size: int) -> Tensor:
    """The corners, in order around each, of size² cells between (size + 1)² vertices: ``(size², 4, 2)``, row by row."""
    rows = vertices.view(size + 1, size + 1, 2)
    return torch.stack([rows[:-1, :-1], rows[:-1, 1:], rows[1:, 1:], rows[1:, :-1]], 2).view(-1, 4, 2)


def _draw_warp(subject: Subject, folder: Path) -> None:
    """Where the flow puts a grid of the latent plane, wherever its prior has mass."""
    model, device = subject.model, subject.cell.device
    assert isinstance(model, FlowModel)
    reach = float(model.prior().sample((_REACH_SAMPLES,)).abs().amax())
    grid, square = Grid(-reach, reach, _WARP_CELLS), _square(subject, _WARP_CELLS)
    centres, edges = grid.points(), torch.linspace(-reach, reach, grid.size + 1)
    vertices = torch.cartesian_prod(edges, edges).flip(1)
    with model.loosely(_WARP_TOLERANCE):
        x, logdets = (values.cpu() for values in model.decode(torch.cat([vertices, centres]).to(device)))
    log_prior = model.log_prior(centres.to(device)).cpu()
    shown = log_prior > log_prior.max() - _WARP_NATS
    before, after = (cell_corners(of, grid.size)[shown].numpy() for of in (vertices, x[: len(vertices)]))
    arrays = before, after, logdets[len(vertices) :][shown].numpy()
    maps.bent_grid(
        folder / "warp.png", *arrays, (square.low, square.high), f"{subject.cell.title}: a latent grid, bent"
    )


def _applies(subject: Subject) -> bool:
    return subject.is_planar and isinstance(subject.model, FlowModel)


FAMILIES = [Family("grid", _applies, _measure)]
PICTURES = [
    Pictures("density", lambda subject: subject.on_grid is not None, _draw_density),
    Pictures("training", _applies, _draw_training),
    Pictures("warp", lambda subject: _applies(subject) and subject.is_flow, _draw_warp),
]
