"""The pictures of cells, copied beside the page; what moves has a still for readers who ask for less motion."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from flowbench.plotting.canvas import DPI, HAIRLINE
from flowbench.report.frame import CellResult
from flowbench.report.views.scope import Scope
from flowbench.report.views.text import words

Box = tuple[int, int, int, int]
# Those that say most of a flow as such.
OF_FLOWS = (
    "training-animation",
    "transport",
    "path",
    "coupling",
    "layers",
    "warp",
    "reconstructions-training",
    "latent",
)

# Of the first seed, whose training is watched.
_OF_FIRST = ("training", "training-animation", "reconstructions-training")


@dataclass(frozen=True)
class Picture:
    """A file under ``figures/``.

    Attributes:
        alt: what it shows, for readers who cannot see it.
        caption: the same below the picture.
        still: one frame of a picture that moves.
        cell: the key of the cell that it is of, if it is of one.
        kind: of a cell's picture.
    """

    path: Path
    alt: str
    caption: str = ""
    still: Path | None = None
    cell: str = ""
    kind: str = ""

    @property
    def link(self) -> str:
        """Its address relative to the page."""
        return f"figures/{quote(self.path.name)}"

    @property
    def still_link(self) -> str:
        return f"figures/{quote(self.still.name)}" if self.still else ""

    @property
    def size(self) -> tuple[int, int]:
        """How wide and how high it is meant to be shown, in CSS pixels of 1/96 inch."""
        with self.path.open("rb") as file:
            head = file.read(24)
        return tuple(round(int.from_bytes(head[i : i + 4], "big") * 96 / DPI) for i in (16, 20))  # type: ignore[return-value]


def of_cell(scope: Scope, cell: CellResult, folder: Path) -> list[Picture]:
    """Copy the pictures of a cell to ``folder``, in the order of their kinds."""
    finished, found = cell.record.training.finished, []
    kinds = words("words")["pictures"]
    order = [*kinds, *sorted(cell.record.pictures)]
    for name in sorted(cell.record.pictures, key=order.index):
        seed = cell.seeds[0] if name in _OF_FIRST or not finished else min(finished)
        shows = kinds.get(name, name.replace("_", " ").replace("-", " "))
        path = folder / f"{cell.key}-{name}.png"
        shutil.copyfile(cell.record.pictures[name], path)
        alt = f"{cell.label} on {cell.data}: {shows}"
        found.append(Picture(path, alt, f"{shows[:1].upper()}{shows[1:]} (seed {seed})", _still(path), cell.key, name))
    return found


def strip(scope: Scope, folder: Path) -> list[Picture]:
    """Small multiples of one data set: the truth once, then each learnt density; of images the samples."""
    found: list[Picture] = []
    for cell in scope.cells:
        kind = next((kind for kind in ("density", "samples", "pairs") if kind in cell.record.pictures), None)
        if kind is None:
            continue
        picture = cell.record.pictures[kind]
        truth, learnt = {"density": _panels, "samples": _squares, "pairs": _whole}[kind](picture)
        if not found and truth:
            path = folder / f"truth-{cell.data}.png"
            _crop(picture, truth, path)
            found.append(Picture(path, f"{cell.data}: the data or their density", "truth"))
        # A whole picture is the one of the gallery, too.
        path = folder / (f"{cell.key}-{kind}.png" if learnt is None else f"{cell.key}-strip.png")
        _crop(picture, learnt, path)
        what = {"density": "learnt density", "samples": "samples", "pairs": "pairs of columns"}[kind]
        found.append(Picture(path, f"{cell.label} on {cell.data}: {what}", cell.label, None, cell.key))
    return found if len(found) > 1 else []


def _panels(path: Path) -> tuple[Box | None, Box | None]:
    """The truth and the learnt density in a picture of framed panels, which end with the samples."""
    import numpy as np
    from PIL import Image, ImageColor

    with Image.open(path) as image:
        frame = (np.abs(np.asarray(image.convert("RGB")).astype(int) - ImageColor.getrgb(HAIRLINE)) < 12).all(axis=2)
    columns, rows = (np.flatnonzero(frame.mean(axis=axis) > 0.5) for axis in (0, 1))
    edges = [group.mean() for group in np.split(columns, np.flatnonzero(np.diff(columns) > 3) + 1) if len(group)]
    if len(edges) < 6 or not len(rows):
        return None, None
    boxes = [
        (round(left) + 2, int(rows[0]) + 2, round(right) - 1, int(rows[-1]) - 1)
        for left, right in zip(edges[::2], edges[1::2], strict=False)
    ]
    return boxes[-3], boxes[-2]


def _squares(path: Path) -> tuple[Box | None, Box | None]:
    """The test data and the samples in a picture of squares side by side under a title."""
    from PIL import Image

    with Image.open(path) as image:
        width, height = image.size
    side = width / max(1, round(width / height))
    if width < 2 * side:
        return None, None
    top = max(0, height - round(0.96 * side))
    return (0, top, round(side), height), (round(side), top, round(2 * side), height)


def _whole(_: Path) -> tuple[None, None]:
    """All of a picture, which shows the test data as well."""
    return None, None


def _crop(path: Path, box: Box | None, target: Path) -> None:
    """Write a part of a picture, or all of it."""
    from PIL import Image

    with Image.open(path) as image:
        image.crop(box).save(target, format="png", optimize=True)


def _still(path: Path) -> Path | None:
    """The last frame of a picture that moves, written beside it; ``None`` of one that does not."""
    from PIL import Image

    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames == 1:
            return None
        image.seek(frames - 1)
        still = path.with_name(f"{path.stem}-still.png")
        image.convert("RGB").quantize(256).save(still, format="png", optimize=True)
    return still
