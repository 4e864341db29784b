"""Pictures of 2-D densities, and of how they are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.plotting.canvas import INK, MUTED, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from flowbench.numerics.quadrature import Grid

_COLOURS, _DOTS = "Blues", "#08519c"
_POINTS = 4000
_FILM_COLUMNS = 8


def density(
    path: Path,
    test: np.ndarray,
    samples: np.ndarray,
    log_density: np.ndarray,
    grid: Grid,
    true_log_density: np.ndarray | None = None,
    title: str = "",
) -> None:
    """Draw 2-D test data beside the model's density and the model's samples.

    Args:
        path: PNG to write.
        test, samples: ``(n, 2)``, in data units; the first few thousand points are drawn.
        log_density: the model's log-density in nats on ``grid``, ``(size, size)``; rows follow the second coordinate.
        grid: where the densities are known; also the limits of every panel.
        true_log_density: the same for the truth, where it is known; both densities then share one colour scale.
        title: of the whole picture.
    """
    densities = {"true density": true_log_density, "learnt density": log_density}
    shown = {name: _exp(values) for name, values in densities.items() if values is not None}
    # The truth sets the scale, so that a spike of the model does not dim everything else.
    highest = _highest(next(iter(shown.values())))
    with canvas(path, 1.8 * (2 + len(shown)), 2.25, title) as figure:
        axes = iter(figure.subplots(1, 2 + len(shown), sharey=True))
        _scatter(next(axes), test, grid, "test data")
        for name, values in shown.items():
            _heat(_square(next(axes), grid, name), values, grid, highest)
        _scatter(next(axes), samples, grid, "samples of the model")


def film_strip(
    path: Path, frames: np.ndarray, steps: Sequence[int], target: np.ndarray, grid: Grid, title: str = ""
) -> None:
    """Draw how a density was learnt: one frame per step, the target last.

    Args:
        path: PNG to write.
        frames: densities ``(k, h, w)``; rows follow the second coordinate.
        steps: the training step of each frame.
        target: the density that is learnt, ``(h, w)``; it sets the colour scale of every frame.
        grid: where the densities are known.
        title: of the whole picture.
    """
    columns = min(_FILM_COLUMNS, len(frames) + 1)
    rows = -(-(len(frames) + 1) // columns)
    with canvas(path, max(0.9 * columns, 4), 1.06 * rows + 0.3, title) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.02, hspace=0.02)
        axes = figure.subplots(rows, columns, squeeze=False).flat
        names = [f"step {step:,}" for step in steps] + ["target"]
        for name, values in zip(names, [*frames, target], strict=True):
            panel = next(axes)
            _heat(_square(panel, grid, name), np.nan_to_num(values, posinf=0.0), grid, _highest(target))
            panel.set(xticks=[], yticks=[])
            panel.title.set(fontsize=7, color=INK if name == "target" else MUTED)
        for panel in axes:
            panel.set_axis_off()


def _exp(log_density: np.ndarray) -> np.ndarray:
    """The density; it is zero where the log-density is not a number."""
    return np.exp(np.nan_to_num(log_density, nan=-np.inf, posinf=-np.inf))


def _highest(values: np.ndarray) -> float:
    """Top of the colour scale, a little below the peak, which only a few cells reach."""
    return float(np.quantile(values[values > 0], 0.999)) if (values > 0).any() else 1.0


def _square(axes: Axes, grid: Grid, name: str) -> Axes:
    axes.set(xlim=(grid.low, grid.high), ylim=(grid.low, grid.high), aspect="equal", title=name)
    axes.locator_params(nbins=5)
    axes.tick_params(length=0, labelsize=7)
    return axes


def _heat(axes: Axes, values: np.ndarray, grid: Grid, highest: float) -> None:
    extent = (grid.low, grid.high, grid.low, grid.high)
    axes.imshow(values, origin="lower", extent=extent, cmap=_COLOURS, vmin=0, vmax=highest)


def _scatter(axes: Axes, points: np.ndarray, grid: Grid, name: str) -> None:
    x, y = points[:_POINTS].T
    _square(axes, grid, name).scatter(x, y, s=0.9, color=_DOTS, alpha=0.45, linewidths=0)
