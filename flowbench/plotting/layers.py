"""Points of the line or the plane after each map of a flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowbench.plotting.canvas import HAIRLINE, INK, MUTED, canvas

_ORIGINS, _DATA = "plasma", "#08519c"
# In inches, but for the columns and the bins.
_COLUMNS, _BINS, _PANEL, _GAP, _NAME, _TITLE, _MARGIN = 8, 40, 0.95, 0.06, 0.2, 0.3, 0.06


def through_layers(path: Path, panels: Sequence[tuple[str, np.ndarray]], colours: np.ndarray, title: str = "") -> None:
    """Draw named sets of points in the order in which a flow makes one of another, all to one scale.

    Args:
        path: PNG to write.
        panels: names and points, ``(n, 2)`` for a scatter each or ``(n, 1)`` for a histogram each. The last are other
            points, which the flow should end with. Those that are not finite, or far outside, are left out.
        colours: numbers ``(n,)`` that colour the points of all scatters but the last.
        title: of the whole picture.
    """
    from matplotlib.collections import PolyCollection

    low, high = _reach([points for _, points in panels])
    columns = min(_COLUMNS, len(panels))
    pitch = np.array([_PANEL + _GAP, _PANEL + _GAP + _NAME])
    width, height = columns * pitch[0] - _GAP + 2 * _MARGIN, -(-len(panels) // columns) * pitch[1] + _TITLE + _MARGIN
    # All panels are drawn in one pair of axes, for dozens of them would take seconds.
    with canvas(path, width, height, title) as figure:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        axes.set_axis_off()
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * _PANEL
        for i, (name, points) in enumerate(panels):
            last = i == len(panels) - 1
            row, column = divmod(i, columns)
            corner = np.array([_MARGIN, height - _TITLE - pitch[1]]) + (column, -row) * pitch
            axes.add_collection(
                PolyCollection([corner + square], facecolors="none", edgecolors=HAIRLINE, linewidths=0.8)
            )
            ink = INK if last or not i else MUTED
            x, y = corner + np.array([_PANEL / 2, _PANEL + 0.04])
            axes.text(x, y, name, ha="center", va="bottom", fontsize=6, color=ink)
            places = (points - low) / (high - low)
            inside = ((places > 0) & (places < 1)).all(1)
            if points.shape[1] == 1:
                axes.add_collection(PolyCollection([corner + _PANEL * _outline(places[inside, 0])], color=_DATA))
            else:
                look = {"color": _DATA} if last else {"c": colours[inside], "cmap": _ORIGINS}
                axes.scatter(*(corner + _PANEL * places[inside]).T, s=1.6, linewidths=0, **look)


def _outline(places: np.ndarray) -> np.ndarray:
    """The outline of a histogram of places between 0 and 1, which nearly fills that square: ``(k, 2)``."""
    counts, edges = np.histogram(places, _BINS, range=(0, 1))
    heights = 0.95 * counts / max(1, counts.max())
    return np.stack([edges.repeat(2), [0, *heights.repeat(2), 0]], 1)


def _reach(sets: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that hold nearly all of the finite points of each set, with a margin."""
    ends = [np.quantile(kept, (0.005, 0.995)) for points in sets if len(kept := points[np.isfinite(points).all(1)])]
    low, high = (float(np.min(ends)), float(np.max(ends))) if ends else (-3.0, 3.0)
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin
