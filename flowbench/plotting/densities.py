"""Pictures of 2-D densities, and of how they are learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.plotting.canvas import HAIRLINE, INK, MUTED, canvas, film, plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from flowbench.numerics.quadrature import Grid

_COLOURS, _DOTS = "Blues", "#08519c"
_POINTS = 4000
_FILM_FRAMES = 8


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
    path: Path, frames: np.ndarray, captions: Sequence[str], last: np.ndarray, name: str, grid: Grid, title: str = ""
) -> None:
    """Draw how a density was learnt: some of the frames, and what it should become.

    Args:
        path: PNG to write.
        frames: densities ``(k, h, w)``; rows follow the second coordinate.
        captions: of each frame, a line or two.
        last: the density that is learnt, ``(h, w)``; it sets the colour scale of every frame.
        name: of ``last``.
        grid: where the densities are known.
        title: of the whole picture.
    """
    shown = spread(len(frames), _FILM_FRAMES)
    panels = [(captions[i], frames[i]) for i in shown] + [(name, last)]
    lines = max(caption.count("\n") + 1 for caption in captions)
    with canvas(path, max(1.15 * len(panels), 4), 1.35 + 0.22 * lines, title) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.02, hspace=0.02)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for panel, (caption, values) in zip(axes, panels, strict=True):
            _heat(_square(panel, grid, caption), _finite(values), grid, _highest(last))
            panel.set(xticks=[], yticks=[])
            panel.title.set(fontsize=7, color=INK if caption == name else MUTED)


def learning(
    path: Path, frames: np.ndarray, captions: Sequence[str], last: np.ndarray, name: str, grid: Grid, title: str = ""
) -> None:
    """Draw all frames of `film_strip` as an animation, beside what the density should become."""
    with film(path, 4.8, 2.85, title) as (figure, shoot):
        left, right = figure.subplots(1, 2)
        _heat(_square(right, grid, name), _finite(last), grid, _highest(last))
        image = _heat(_square(left, grid, ""), _finite(frames[0]), grid, _highest(last))
        for panel in (left, right):
            panel.set(xticks=[], yticks=[])
        for values, caption in zip(frames, captions, strict=True):
            image.set_data(_finite(values))
            left.set_title("   ".join(caption.split("\n")))
            shoot()


def density_path(
    path: Path,
    times: Sequence[float],
    densities: np.ndarray,
    residuals: Sequence[float],
    grid: Grid,
    title: str = "",
) -> None:
    """Draw the densities that a flow passes through.

    Args:
        path: PNG to write.
        times: of the densities.
        densities: ``(k, h, w)``; rows follow the second coordinate.
        residuals: of the continuity equation at each time, relative to ∂p/∂t.
        grid: where the densities are known.
        title: of the whole picture.
    """
    with canvas(path, 1.3 * len(times), 2.2, title) as figure:
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.02)
        panels = figure.subplots(1, len(times), squeeze=False)[0]
        for axes, time, values, residual in zip(panels, times, densities, residuals, strict=True):
            shown = _finite(values)
            _heat(_square(axes, grid, f"t = {time:.1f}"), shown, grid, _highest(shown))
            axes.set(xticks=[], yticks=[])
            axes.set_xlabel(_scientific(residual), fontsize=8, color=INK)
            axes.spines[:].set_color(HAIRLINE)
        figure.supxlabel("|∂p/∂t + ∇·(p v)| relative to |∂p/∂t|", fontsize=8, color=MUTED)


def spread(count: int, most: int) -> list[int]:
    """At most so many of 0 … ``count`` - 1, the first and the last among them, at equal distances where that can be."""
    even = [n for n in range(most, most // 2, -1) if (count - 1) % (n - 1) == 0]
    return sorted({int(i) for i in np.linspace(0, count - 1, even[0] if even else min(count, most)).round()})


def histogram(points: np.ndarray, grid: Grid) -> np.ndarray:
    """The density of ``(n, 2)`` points in the cells of a grid, ``(size, size)``; rows follow the second coordinate."""
    counts, _, _ = np.histogram2d(points[:, 1], points[:, 0], bins=grid.size, range=[(grid.low, grid.high)] * 2)
    return counts / (len(points) * grid.cell_area)


def _finite(values: np.ndarray) -> np.ndarray:
    """A density; it is zero where it is not a number."""
    return np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)


def _exp(log_density: np.ndarray) -> np.ndarray:
    """The density; it is zero where the log-density is not a number."""
    return np.exp(np.nan_to_num(log_density, nan=-np.inf, posinf=-np.inf))


def _highest(values: np.ndarray) -> float:
    """Top of the colour scale, a little below the peak, which only a few cells reach."""
    return float(np.quantile(values[values > 0], 0.999)) if (values > 0).any() else 1.0


def _square(axes: Axes, grid: Grid, name: str) -> Axes:
    return plane(axes, name, (grid.low, grid.high))


def _heat(axes: Axes, values: np.ndarray, grid: Grid, highest: float) -> AxesImage:
    extent = (grid.low, grid.high, grid.low, grid.high)
    smooth = "bicubic" if len(values) < 100 else "auto"
    return axes.imshow(values, interpolation=smooth, origin="lower", extent=extent, cmap=_COLOURS, vmin=0, vmax=highest)


def _scatter(axes: Axes, points: np.ndarray, grid: Grid, name: str) -> None:
    x, y = points[:_POINTS].T
    _square(axes, grid, name).scatter(x, y, s=0.9, color=_DOTS, alpha=0.45, linewidths=0)


def _scientific(value: float) -> str:
    """A number with one digit, such as 3·10⁻⁷."""
    if not np.isfinite(value):
        return "not finite"
    digit, exponent = f"{value:.0e}".split("e")
    return rf"${digit}\cdot10^{{{int(exponent)}}}$" if value else "0"
