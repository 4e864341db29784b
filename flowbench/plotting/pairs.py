"""Pictures of tables: each pair of columns, of the data and of a model's samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.plotting.canvas import INK, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DATA, _SAMPLES = INK, "#d95f02"
# More columns would be too small to see, and more points would hide each other.
MOST_COLUMNS, _POINTS = 6, 1000
_BINS, _SIDE, _LETTERS = 40, 1.25, 16


def pairs(path: Path, names: Sequence[str], data: np.ndarray, samples: np.ndarray, title: str = "") -> None:
    """Draw a histogram of each column, and below the diagonal a scatter of each pair.

    Args:
        path: PNG to write.
        names: of the columns; the first few are drawn.
        data, samples: ``(n, D)``. Values outside of the data's range, and those that are not finite, are left out.
        title: of the whole picture.
    """
    from matplotlib.lines import Line2D

    count = min(len(names), MOST_COLUMNS)
    least, most = data.min(0), data.max(0)
    pad = np.where(most > least, 0.04 * (most - least), 0.5)
    limits = list(zip(least - pad, most + pad, strict=True))
    both = {"data": (data, _DATA), "samples": (samples, _SAMPLES)}
    with canvas(path, _SIDE * count + 0.9, _SIDE * count + 0.75, title) as figure:
        grid = figure.subplots(count, count, squeeze=False)
        for (i, j), axes in np.ndenumerate(grid):
            if j > i:
                axes.set_axis_off()
                continue
            for points, colour in both.values():
                if i == j:
                    _histogram(axes, points[:, i], limits[i], colour)
                else:
                    _scatter(axes, points[:_POINTS, [j, i]], colour)
                    axes.set_ylim(limits[i])
            axes.set_xlim(limits[j])
            axes.spines[["top", "right"]].set_visible(False)
            axes.locator_params(nbins=3)
            axes.tick_params(length=2, labelsize=6, labelbottom=i == count - 1, labelleft=j == 0 < i, left=j < i)
            if i == count - 1:
                axes.set_xlabel(_short(names[j]), fontsize=7)
            if j == 0 < i:
                axes.set_ylabel(_short(names[i]), fontsize=7)
        lines = [Line2D([], [], color=colour, linewidth=2, label=name) for name, (_, colour) in both.items()]
        figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=8)


def _histogram(axes: Axes, values: np.ndarray, limits: tuple[float, float], colour: str) -> None:
    inside = values[(values >= limits[0]) & (values <= limits[1])]
    weights = np.full(len(inside), 1 / max(1, len(inside)))
    axes.hist(inside, _BINS, range=limits, weights=weights, histtype="step", color=colour, linewidth=1)


def _scatter(axes: Axes, points: np.ndarray, colour: str) -> None:
    axes.scatter(*points[np.isfinite(points).all(1)].T, s=2, color=colour, alpha=0.35, linewidths=0)


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
