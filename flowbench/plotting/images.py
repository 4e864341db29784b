"""Sheets of images: samples, reconstructions, interpolations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowbench.plotting.canvas import DPI, MUTED, canvas, film, title_size

# Width of a square of images and of a row of images, in pixels of the picture; number of rows of interpolations.
_PANEL, _WIDTH, _WAYS = 360, 1080, 6
# In each row of what is seen while training.
_IN_A_ROW = 8
# A square holds no more images.
IMAGES = 100
_NOT_FINITE = (255, 0, 255)


def image_samples(path: Path, panels: dict[str, np.ndarray], white: float, title: str = "") -> None:
    """Draw squares of images side by side.

    Args:
        path: PNG to write.
        panels: name to images ``(n, channels, h, w)`` with values from 0 to ``white``; the first of them are drawn.
        white: the largest grey level.
        title: of the whole picture.
    """
    height, width = next(iter(panels.values())).shape[2:]
    columns, rows = max(1, _PANEL // _pitch(width)), max(1, _PANEL // _pitch(height))
    sheets = {name: _sheet(_paint(images[: columns * rows], white), columns) for name, images in panels.items()}
    _contact_sheet(path, [list(sheets.items())], title)


def reconstructions(path: Path, images: np.ndarray, again: np.ndarray, title: str = "") -> None:
    """Draw images, the same images after a round trip through the latent, and the magnified difference.

    Args:
        path: PNG to write.
        images, again: ``(n, channels, h, w)`` with values from 0 to 1; the first of them are drawn.
        title: of the whole picture.
    """
    columns = max(1, _WIDTH // _pitch(images.shape[3]))
    images, again = images[:columns], again[:columns]
    difference = np.abs(images.astype(np.float64) - again).max(1, keepdims=True)
    factor = _magnification(difference)
    rows = {
        "test data": _paint(images, 1.0),
        "decode(encode(x))": _paint(again, 1.0),
        f"|difference| × {factor:,.0f}; white is none": _paint(difference * factor, 1.0),
    }
    _contact_sheet(path, [[(name, _sheet(row, columns))] for name, row in rows.items()], title)


def while_training(path: Path, images: np.ndarray, rows: dict[str, np.ndarray], name: str, title: str = "") -> None:
    """Draw images, and after them one row for each moment of a training.

    Args:
        path: PNG to write.
        images: ``(n, channels, h, w)`` with values from 0 to 1; the first of them are drawn.
        rows: the same images at each moment, by its name.
        name: of ``images``.
        title: of the whole picture.
    """
    panels = [(name, _sheet(_paint(row[:_IN_A_ROW], 1.0), _IN_A_ROW)) for name, row in ({name: images} | rows).items()]
    _contact_sheet(path, [panels[i : i + 2] for i in range(0, len(panels), 2)], title)


def learning(path: Path, images: np.ndarray, frames: np.ndarray, captions: Sequence[str], title: str = "") -> None:
    """Draw images above what a model made of them at each moment of its training, as an animation.

    Args:
        path: PNG to write.
        images: ``(n, channels, h, w)`` with values from 0 to 1.
        frames: the same images at each moment, ``(k, n, channels, h, w)``.
        captions: of each frame.
        title: of the whole picture.
    """
    with film(path, 3.1, 6.3, title) as (figure, shoot):
        above, below = figure.subplots(2, 1)
        above.imshow(_sheet(_paint(images, 1.0), _IN_A_ROW), interpolation="nearest")
        above.set_title("validation data")
        shown = below.imshow(_sheet(_paint(frames[0], 1.0), _IN_A_ROW), interpolation="nearest")
        for axes in (above, below):
            axes.set_axis_off()
        for frame, caption in zip(frames, captions, strict=True):
            shown.set_data(_sheet(_paint(frame, 1.0), _IN_A_ROW))
            below.set_title(caption)
            shoot()


def interpolations(path: Path, ways: np.ndarray, white: float, title: str = "") -> None:
    """Draw paths between images, one in each row: ``(pairs, steps, channels, h, w)``, from 0 to ``white``."""
    steps = ways.shape[1]
    blocks = min(len(ways), max(1, _WIDTH // (steps * _pitch(ways.shape[4]))))
    row = [
        ("an arc in latent space between test images", _sheet(_paint(np.concatenate(block), white), steps))
        for block in np.array_split(ways[: blocks * _WAYS], blocks)
    ]
    _contact_sheet(path, [row], title)


def _paint(images: np.ndarray, white: float) -> np.ndarray:
    """Images ``(n, channels, h, w)`` as colours, ``(n, h, w, 3)`` bytes; grey levels are ink on paper."""
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
    """The factor that enlarges pixels: whole, so that all have one size, and 1 for large images."""
    return max(2, 32 // width) if 2 * (width + 1) <= _PANEL else 1


def _pitch(width: int) -> int:
    """The distance from one image of a sheet to the next, in pixels of the picture."""
    return (width + 1) * _zoom(width)


def _contact_sheet(path: Path, rows: list[list[tuple[str, np.ndarray]]], title: str) -> None:
    """Draw named sheets ``(h, w, 3)`` in rows. One pixel of a sheet is one pixel of the picture."""
    margin, between, head, name_height = 12, 30, 36, 32
    width = 2 * margin + max(sum(sheet.shape[1] + between for _, sheet in row) - between for row in rows)
    height = head + sum(name_height + max(sheet.shape[0] for _, sheet in row) for row in rows) + margin
    colourful = any(np.ptp(sheet, axis=2).any() for row in rows for _, sheet in row)
    with canvas(path, width / DPI, height / DPI, colourful=colourful) as figure:
        figure.set_layout_engine("none")

        def write(text: str, x: float, top: float, **look: Any) -> None:
            figure.text(x / width, 1 - top / height, text, va="top", **look)

        write(title, margin, 10, fontsize=title_size(title, (width - 2 * margin) / DPI), fontweight="bold")
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
