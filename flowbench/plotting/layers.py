"""Points of the line or the plane after each map of a flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.plotting.canvas import HAIRLINE, INK, MUTED, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ORIGINS, _DATA = "plasma", "#08519c"
_COLUMNS, _SIDE, _NAME, _TITLE, _BINS = 8, 1.0, 0.2, 0.3, 40


def through_layers(path: Path, panels: Sequence[tuple[str, np.ndarray]], colours: np.ndarray, title: str = "") -> None:
    """Draw named sets of points in the order in which a flow makes one of another, all on the same axes.

    Args:
        path: PNG to write.
        panels: names and points, ``(n, 2)`` for a scatter each or ``(n, 1)`` for a histogram each. The last are other
            points, which the flow should end with. Those that are not finite are left out.
        colours: numbers ``(n,)`` that colour each point of all panels but the last.
        title: of the whole picture.
    """
    low, high = _reach([points for _, points in panels])
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width, height = max(_SIDE * columns, 3.0), _TITLE + rows * (_SIDE + _NAME)
    with canvas(path, width, height, title) as figure:
        # Dozens of panels take a layout engine seconds.
        figure.set_layout_engine("none")
        for i, (name, points) in enumerate(panels):
            row, column = divmod(i, columns)
            corner = column * _SIDE + 0.02, height - _TITLE - (row + 1) * (_SIDE + _NAME) + 0.02
            box = (corner[0] / width, corner[1] / height, (_SIDE - 0.05) / width, (_SIDE - 0.05) / height)
            axes = figure.add_axes(box, xlim=(low, high), xticks=[], yticks=[])
            axes.set_title(name, fontsize=6, pad=2, color=INK if i in (0, len(panels) - 1) else MUTED)
            axes.spines[:].set_color(HAIRLINE)
            look = {"color": _DATA} if i == len(panels) - 1 else {"c": colours, "cmap": _ORIGINS}
            if points.shape[1] == 2:
                axes.set_ylim(low, high)
                axes.scatter(*points.T, s=1.6, linewidths=0, **look, plotnonfinite=False)
            else:
                _histogram(axes, points[:, 0], (low, high))


def _histogram(axes: Axes, values: np.ndarray, limits: tuple[float, float]) -> None:
    axes.hist(values[np.isfinite(values)], _BINS, range=limits, color=_DATA)


def _reach(sets: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that hold nearly all of the finite points of each set, with a margin."""
    ends = [np.quantile(kept, (0.005, 0.995)) for points in sets if len(kept := points[np.isfinite(points).all(1)])]
    low, high = (float(np.min(ends)), float(np.max(ends))) if ends else (-3.0, 3.0)
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin
