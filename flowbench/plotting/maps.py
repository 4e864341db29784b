"""Pictures of maps of the plane: a bent grid, points on their way, and couplings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.plotting.canvas import MUTED, canvas, film, plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection

_AREAS, _ORIGINS = "viridis", "plasma"
_START, _END, _LINE = "#d95f02", "#08519c", "#667080"


def bent_grid(
    path: Path,
    before: np.ndarray,
    after: np.ndarray,
    logdets: np.ndarray,
    limits: tuple[float, float],
    title: str = "",
) -> None:
    """Draw the cells of a grid in the latent plane, and where a flow puts them.

    Args:
        path: PNG to write.
        before, after: corners of the cells, ``(n, 4, 2)``, in order around each.
        logdets: log|det| of the map at their centres in nats, ``(n,)``. Cells with one that is not finite, or with such
            a corner, are left out.
        limits: of both axes of the data.
        title: of the whole picture.
    """
    kept = np.flatnonzero(np.isfinite(logdets) & np.isfinite(after).all((1, 2)))
    # The largest first, which may lie over others where a map bends much within a cell.
    kept = kept[np.argsort(-np.ptp(after[kept], axis=1).max(1), kind="stable")] if len(kept) else kept
    with canvas(path, 6.0, 2.9, title) as figure:
        left, right = figure.subplots(1, 2)
        reach = float(np.abs(before).max())
        _cells(plane(left, "latent", (-reach, reach)), before[kept], logdets[kept], 0.25)
        cells = _cells(plane(right, "data", limits), after[kept], logdets[kept], 0.1)
        bar = figure.colorbar(cells, ax=[left, right], shrink=0.85, aspect=25, pad=0.02)
        bar.set_label("log|det|, nats", fontsize=8)
        bar.ax.tick_params(length=0, labelsize=7)
        bar.outline.set_visible(False)


def _cells(axes: Axes, corners: np.ndarray, values: np.ndarray, line: float) -> PolyCollection:
    from matplotlib.collections import PolyCollection

    low, high = np.quantile(values, (0.02, 0.98)) if len(values) else (0.0, 1.0)
    cells = PolyCollection(corners, array=values, cmap=_AREAS, edgecolors="white", linewidths=line)
    # A map that stretches all areas alike has one colour, from the middle.
    margin = max(0.0, 0.05 - (high - low) / 2)
    cells.set_clim(low - margin, high + margin)
    axes.add_collection(cells)
    return cells


def transport(
    path: Path,
    times: Sequence[float],
    points: np.ndarray,
    arrows: np.ndarray,
    velocities: np.ndarray,
    title: str = "",
) -> None:
    """Draw points on their way along a vector field as an animation.

    Args:
        path: PNG to write.
        times: of the frames.
        points: ``(frames, n, 2)``; each keeps its colour, which tells where along the first axis it began.
        arrows: where the field is shown, ``(m, 2)``; the outermost are the corners of the picture.
        velocities: of the field, ``(frames, m, 2)``. Those that are not finite are not drawn.
        title: of the whole picture.
    """
    velocities = np.nan_to_num(velocities, posinf=0.0, neginf=0.0)
    speed = float(np.quantile(np.linalg.norm(velocities, axis=2), 0.95)) or 1.0
    low, high = float(arrows.min()), float(arrows.max())
    order = points[0, :, 0].argsort().argsort()
    with film(path, 3.6, 4.05, title) as (figure, shoot):
        axes = plane(figure.subplots(), "", (low, high))
        spacing = (high - low) / (len(arrows) ** 0.5 - 1)
        field = axes.quiver(
            *arrows.T, *velocities[0].T, color=MUTED, alpha=0.55, width=0.0035, angles="xy", scale_units="xy",
            scale=speed / spacing,
        )  # fmt: skip
        dots = axes.scatter(*points[0].T, c=order, cmap=_ORIGINS, s=7, linewidths=0)
        for i, time in enumerate(times):
            field.set_UVC(*velocities[i].T)
            dots.set_offsets(points[i])
            axes.set_title(f"t = {time:.2f}")
            shoot()


def clouds(path: Path, panels: dict[str, np.ndarray], colours: dict[str, np.ndarray], title: str = "") -> None:
    """Draw named sets of points of the plane, ``(n, 2)`` each, side by side on common axes.

    Args:
        path: PNG to write.
        panels: the points by name. Those that are not finite are left out.
        colours: numbers ``(n,)`` that colour the points of some of the panels.
        title: of the whole picture.
    """
    finite = [points[np.isfinite(points).all(1)] for points in panels.values()]
    reach = 1.1 * max((float(np.quantile(np.abs(points), 0.998)) for points in finite if len(points)), default=1.0)
    reach = reach or 1.0  # a single point is its own centre
    with canvas(path, 2.3 * len(panels), 2.75, title) as figure:
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for panel, (name, points) in zip(axes, panels.items(), strict=True):
            look = {"c": colours[name], "cmap": _ORIGINS} if name in colours else {"color": _LINE}
            plane(panel, name, (-reach, reach)).scatter(*points.T, s=5, alpha=0.8, linewidths=0, **look)


def coupling(path: Path, start: np.ndarray, ends: dict[str, np.ndarray], title: str = "") -> None:
    """Draw straight lines between points ``start`` ``(n, 2)`` and their partners, a panel for each named pairing."""
    from matplotlib.collections import LineCollection

    both = np.concatenate([start, *ends.values()])
    both = both[np.isfinite(both).all(1)]
    centre, reach = (both.max(0) + both.min(0)) / 2, 0.54 * float(np.ptp(both, axis=0).max())
    x, y = [(middle - reach, middle + reach) for middle in centre]
    with canvas(path, 2.7 * len(ends), 3.45, title) as figure:
        panels = figure.subplots(1, len(ends), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, end) in zip(panels, ends.items(), strict=True):
            squares = float(((end - start) ** 2).sum(1).mean())
            axes.add_collection(LineCollection(np.stack([start, end], 1), colors=_LINE, linewidths=0.45, alpha=0.8))
            axes.scatter(*start.T, s=6, color=_START, linewidths=0, label="start", zorder=3)
            axes.scatter(*end.T, s=6, color=_END, linewidths=0, label="data", zorder=3)
            plane(axes, f"{name}\nmean square length {squares:.2f}", x, y)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7.5)
