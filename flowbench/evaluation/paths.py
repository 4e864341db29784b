"""The pictures of a continuous flow in the plane: points on their way, the densities between, the coupling."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.evaluation.continuity import continuity
from flowbench.evaluation.subject import Pictures, Subject
from flowbench.flows._continuous import ContinuousModel
from flowbench.flows._coupling import independent, optimal_transport
from flowbench.numerics.quadrature import Grid
from flowbench.plotting import densities, maps

_POINTS, _FRAMES, _STEPS_PER_FRAME, _ARROWS = 500, 24, 3, 13
_TIMES, _CELLS, _POINTS_OF_RESIDUAL, _TOLERANCE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 64, 40, 1e-2
_PAIRS = 128


def _ways(model: ContinuousModel, count: int) -> tuple[list[float], Tensor]:
    """Times from 0 to 1 and where the paths from samples of the prior are, ``(1 + frames, count, 2)``."""
    x = model.start(model.prior().sample((count,)))
    steps = list(model.flow.steps(x, "midpoint", _FRAMES * _STEPS_PER_FRAME))[_STEPS_PER_FRAME - 1 :: _STEPS_PER_FRAME]
    return [0.0, *(float(t) for t, _ in steps)], torch.stack([x, *(x for _, x in steps)])


def _square(ways: Tensor, cells: int) -> Grid:
    """A square about nearly all of the points at each time, with a margin."""
    finite = [points[points.isfinite().all(1)].cpu().numpy() for points in ways]
    ends = [np.quantile(points, (0.003, 0.997), axis=0) for points in finite if len(points)]
    low, high = (float(np.min(ends)), float(np.max(ends))) if ends else (-3.0, 3.0)
    margin = 0.05 * max(high - low, 1e-3)
    return Grid(low - margin, high + margin, cells)


def _draw_transport(subject: Subject, folder: Path) -> None:
    model = subject.continuous
    times, ways = _ways(model, _POINTS)
    # Of which no point lies on the edge of the picture.
    arrows = _square(ways, _ARROWS).points().to(ways)
    field = torch.stack([model.flow.field(ways.new_tensor(t), arrows) for t in times])
    points, tails, velocities = (values.cpu().numpy() for values in (ways, arrows, field))
    maps.transport(folder / "transport.png", times, points, tails, velocities, subject.cell.title)


def _draw_path(subject: Subject, folder: Path) -> None:
    model = subject.continuous
    times, ways = _ways(model, _POINTS)
    at = [min(range(len(times)), key=lambda i: abs(times[i] - wanted)) for wanted in _TIMES]
    points = ways[at][:, :_POINTS_OF_RESIDUAL]
    t = points.new_tensor(_TIMES).repeat_interleave(points.shape[1])
    rate, residual = continuity(model, t, points.flatten(0, 1))
    sizes = [values.square().view(len(at), -1).mean(1).sqrt() for values in (residual, rate)]
    grid = _square(ways, _CELLS)
    with model.loosely(_TOLERANCE):
        frames = [grid.evaluate(partial(_log_prob, model, t)).exp() for t in _TIMES]
    densities.density_path(
        folder / "path.png",
        _TIMES,
        torch.stack(frames).view(-1, grid.size, grid.size).numpy(),
        (sizes[0] / sizes[1]).tolist(),
        grid,
        f"{subject.cell.title}: density on the way",
    )


def _log_prob(model: ContinuousModel, t: float, x: Tensor) -> Tensor:
    """log p_t(x), ``(n,)`` on the CPU, to the solver's tolerance."""
    x = x.to(next(model.parameters()).device)
    if not t:
        return model.log_start(x).cpu()
    solution = model.flow.solve(x, t, 0.0)
    return (model.log_start(solution.x) + solution.logdets.mean(1)).cpu()


def _draw_coupling(subject: Subject, folder: Path) -> None:
    model = subject.continuous
    end = model.end(subject.split[:_PAIRS])
    start = model.start(model.prior().sample((len(end),)))
    own = subject.cell.options["coupling"]
    pairings = {"independent": independent, "optimal-transport": optimal_transport}
    ends = {
        name.replace("-", " ") + (", this flow's" if name == own else ""): couple(start, end).cpu().numpy()
        for name, couple in pairings.items()
    }
    maps.coupling(folder / "coupling.png", start.cpu().numpy(), ends, f"{subject.cell.title}: coupling")


def _applies(subject: Subject) -> bool:
    return subject.is_planar and subject.is_continuous


PICTURES = [
    Pictures("ways", _applies, _draw_transport),
    Pictures("density path", _applies, _draw_path),
    Pictures("coupling", lambda subject: _applies(subject) and "coupling" in subject.cell.options, _draw_coupling),
]
