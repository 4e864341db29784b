"""The pictures of one cell, drawn from arrays; the bytes depend on the arrays alone.

Part of each cell's code, so it knows nothing of the rest of the report.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from flowbench.quadrature import Grid

DENSITY_COLOURS = "Blues"
INK, MUTED, HAIRLINE, DOTS = "#1b1f24", "#667080", "#d5dae1", "#08519c"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 8.5,
    "axes.titlecolor": MUTED,
    "axes.edgecolor": HAIRLINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
}
DPI = 150
_POINTS = 4000
_FILM_COLUMNS = 8
# Widths of a square of images and of a row of them, in pixels of the picture; rows of interpolations.
_PANEL, _WIDTH, _WAYS = 360, 1080, 6
# No square holds more.
IMAGES = 100
_NOT_FINITE = (255, 0, 255)


@contextmanager
def canvas(path: Path, width: float, height: float, title: str = "", *, colourful: bool = False) -> Iterator[Figure]:
    """A figure of ``width`` × ``height`` inches that is written to ``path`` as PNG when the block ends.

    The user's matplotlib settings and the time of day leave no trace in the file. Of a figure with more than 256
    colours, such as photographs have, a ``colourful`` one takes a second longer and comes closer.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from PIL import Image

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        if title:
            figure.suptitle(title, x=0.008, ha="left")
        yield figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    # A palette makes the file a third as large, and no eye sees the difference.
    picture = Image.open(buffer).convert("RGB")
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    picture = picture.quantize(256, method, kmeans=int(colourful), dither=dither)
    picture.save(path, format="png", optimize=True)


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
        log_density: the model's log-density in nats on ``grid``, ``(size, size)``, the second coordinate by row.
        grid: where the densities are known; also the limits of every panel.
        true_log_density: the same for the truth, where it is known; both densities then share one colour scale.
        title: of the whole picture.
    """
    densities = {"true density": true_log_density, "learnt density": log_density}
    shown = {name: _exp(values) for name, values in densities.items() if values is not None}
    # The truth sets the scale, so that a model's spike or leak shows instead of dimming everything else.
    highest = _highest(next(iter(shown.values())))
    with canvas(path, 1.8 * (2 + len(shown)), 2.25, title) as figure:
        axes = iter(figure.subplots(1, 2 + len(shown), sharey=True))
        _scatter(next(axes), test, grid, "test data")
        for name, values in shown.items():
            _heat(_square(next(axes), grid, name), values, grid, highest)
        _scatter(next(axes), samples, grid, "samples of the model")


def image_samples(path: Path, panels: dict[str, np.ndarray], white: float, title: str = "") -> None:
    """Draw one square of images beside the other.

    Args:
        path: PNG to write.
        panels: name to images ``(n, channels, h, w)`` with values from 0 to ``white``; the first of them are drawn.
        white: the largest grey level.
        title: of the whole picture.
    """
    height, width = next(iter(panels.values())).shape[2:]
    columns, rows = _PANEL // _pitch(width), _PANEL // _pitch(height)
    sheets = {name: _sheet(_paint(images[: columns * rows], white), columns) for name, images in panels.items()}
    _contact_sheet(path, [list(sheets.items())], title)


def reconstructions(path: Path, images: np.ndarray, again: np.ndarray, title: str = "") -> None:
    """Draw images, what a round trip through the latent made of them, and the difference, magnified.

    Args:
        path: PNG to write.
        images, again: ``(n, channels, h, w)`` with values from 0 to 1; the first of them are drawn.
        title: of the whole picture.
    """
    columns = _WIDTH // _pitch(images.shape[3])
    images, again = images[:columns], again[:columns]
    difference = np.abs(images.astype(np.float64) - again).max(1, keepdims=True)
    factor = _magnification(difference)
    rows = {
        "test data": _paint(images, 1.0),
        "decode(encode(x))": _paint(again, 1.0),
        f"|difference| × {factor:,.0f}; white is none": _paint(difference * factor, 1.0),
    }
    _contact_sheet(path, [[(name, _sheet(row, columns))] for name, row in rows.items()], title)


def interpolations(path: Path, ways: np.ndarray, white: float, title: str = "") -> None:
    """Draw ways from one image to another, one a row: ``(pairs, steps, channels, h, w)``, 0 to ``white``."""
    steps = ways.shape[1]
    blocks = max(1, _WIDTH // (steps * _pitch(ways.shape[4])))
    row = [
        ("an arc in latent space between test images", _sheet(_paint(np.concatenate(block), white), steps))
        for block in np.array_split(ways[: blocks * _WAYS], blocks)
    ]
    _contact_sheet(path, [row], title)


def film_strip(
    path: Path, frames: np.ndarray, steps: Sequence[int], target: np.ndarray, grid: Grid, title: str = ""
) -> None:
    """Draw how a density was learnt: one frame per step, the target last.

    Args:
        path: PNG to write.
        frames: densities ``(k, h, w)``, the second coordinate by row.
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
    """The density, where anything that is not a number counts as no density."""
    return np.exp(np.nan_to_num(log_density, nan=-np.inf, posinf=-np.inf))


def _highest(values: np.ndarray) -> float:
    """Top of the colour scale; below the very peak, which a few cells reach."""
    return float(np.quantile(values[values > 0], 0.999)) if (values > 0).any() else 1.0


def _square(axes: Axes, grid: Grid, name: str) -> Axes:
    axes.set(xlim=(grid.low, grid.high), ylim=(grid.low, grid.high), aspect="equal", title=name)
    axes.locator_params(nbins=5)
    axes.tick_params(length=0, labelsize=7)
    return axes


def _heat(axes: Axes, values: np.ndarray, grid: Grid, highest: float) -> None:
    extent = (grid.low, grid.high, grid.low, grid.high)
    axes.imshow(values, origin="lower", extent=extent, cmap=DENSITY_COLOURS, vmin=0, vmax=highest)


def _scatter(axes: Axes, points: np.ndarray, grid: Grid, name: str) -> None:
    x, y = points[:_POINTS].T
    _square(axes, grid, name).scatter(x, y, s=0.9, color=DOTS, alpha=0.45, linewidths=0)


def _paint(images: np.ndarray, white: float) -> np.ndarray:
    """Images ``(n, channels, h, w)`` in colours, ``(n, h, w, 3)`` bytes: grey ones as ink on paper."""
    finite = np.isfinite(images).all(1)
    shades = np.rint(255 * (np.nan_to_num(images) / white).clip(0, 1)).astype(np.uint8).transpose(0, 2, 3, 1)
    if shades.shape[3] == 1:
        shades = 255 - shades.repeat(3, 3)
    return np.where(finite[..., None], shades, np.array(_NOT_FINITE, np.uint8))


def _magnification(difference: np.ndarray) -> float:
    """The largest of 1, 2, 5, 10, 20, … that keeps finite differences below 1; 1 if there is none."""
    largest = difference[np.isfinite(difference)].max(initial=0.0)
    if not 0 < largest < 1:
        return 1.0
    power = 10.0 ** math.floor(-math.log10(largest))
    return max(step * power for step in (1, 2, 5) if step * power * largest <= 1)


def _sheet(images: np.ndarray, columns: int) -> np.ndarray:
    """Painted images ``(n, h, w, 3)`` side by side in rows, enlarged, with a white line between them."""
    n, height, width = images.shape[:3]
    zoom = _zoom(width)
    rows = -(-n // columns)
    sheet = np.full((rows, height + 1, columns, width + 1, 3), 255, np.uint8)
    for i, image in enumerate(images):
        sheet[i // columns, :height, i % columns, :width] = image
    sheet = sheet.reshape(rows * (height + 1), columns * (width + 1), 3)[:-1, :-1]
    return sheet.repeat(zoom, 0).repeat(zoom, 1)


def _zoom(width: int) -> int:
    """By how much pixels are enlarged: a whole number, or they would not be of one size."""
    return max(2, 32 // width)


def _pitch(width: int) -> int:
    """From one image of a sheet to the next, in pixels of the picture."""
    return (width + 1) * _zoom(width)


def _contact_sheet(path: Path, rows: list[list[tuple[str, np.ndarray]]], title: str) -> None:
    """Draw named sheets ``(h, w, 3)`` in rows, their pixels being those of the picture."""
    margin, between, head, name_height = 12, 30, 36, 32
    width = 2 * margin + max(sum(sheet.shape[1] + between for _, sheet in row) - between for row in rows)
    height = head + sum(name_height + max(sheet.shape[0] for _, sheet in row) for row in rows) + margin
    colourful = any(np.ptp(sheet, axis=2).any() for row in rows for _, sheet in row)
    with canvas(path, width / DPI, height / DPI, colourful=colourful) as figure:
        figure.set_layout_engine("none")

        def write(text: str, x: float, top: float, **look: Any) -> None:
            figure.text(x / width, 1 - top / height, text, va="top", **look)

        write(title, margin, 10, fontsize=10, fontweight="bold")
        if any((sheet == _NOT_FINITE).all(-1).any() for row in rows for _, sheet in row):
            write("magenta: not finite", width - margin, 12, ha="right", color=MUTED, fontsize=8.5)
        top = head
        for row in rows:
            left = margin
            for name, sheet in row:
                sheet_height, sheet_width = sheet.shape[:2]
                write(name, left, top + 8, color=MUTED, fontsize=8.5)
                box = (left, height - top - name_height - sheet_height, sheet_width, sheet_height)
                axes = figure.add_axes(
                    tuple(size / whole for size, whole in zip(box, (width, height) * 2, strict=True))
                )
                axes.imshow(sheet, interpolation="none", aspect="auto")
                axes.set_axis_off()
                left += sheet_width + between
            top += name_height + max(sheet.shape[0] for _, sheet in row)
