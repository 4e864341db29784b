"""The pictures of cells, copied beside the page; what moves has a still for readers who ask for less motion."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from flowbench.plotting.canvas import DPI, HAIRLINE
from flowbench.report.frame import Cell
from flowbench.report.views.scope import Scope

# What the kinds of pictures show, in the order of the page; another kind comes after them under its own name.
KINDS = {
    "density": "test data, true density, learnt density and samples",
    "samples": "samples; all flows of a data set start from the same latents",
    "training-animation": "the density while training",
    "training": "while training",
    "transport": "samples on their way, with the field that moves them",
    "path": "the density on its way, with the residual of the continuity equation",
    "coupling": "pairs of the optimal transport beside independent pairs",
    "warp": "how the flow bends a regular grid; colours are log |det|",
    "reconstructions": "test images beside what comes back",
    "reconstructions-training": "reconstructions while training",
    "latent": "codes of the encoder beside samples of the prior",
    "interpolation": "between two test images through latent space",
}
# Those that say most of a flow as such.
OF_FLOWS = ("training-animation", "transport", "path", "coupling", "warp", "latent")


@dataclass(frozen=True)
class Picture:
    """A file under ``figures/``.

    Attributes:
        alt: what it shows, for readers who cannot see it.
        caption: the same below the picture.
        still: one frame of a picture that moves.
        cell: the key of the cell that it is of, if it is of one.
    """

    path: Path
    alt: str
    caption: str = ""
    still: Path | None = None
    cell: str = ""

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


def of_cell(scope: Scope, cell: Cell, folder: Path) -> list[Picture]:
    """Copy the pictures of a cell to ``folder``, in the order of their kinds."""
    of_first = {"training", "training-animation"}
    found = []
    order = [*KINDS]
    names = sorted(cell.record.pictures, key=lambda name: (order.index(name) if name in KINDS else len(order), name))
    for name in names:
        seed = cell.seeds[0] if name in of_first or not cell.record.training.finished else None
        seed = min(cell.record.training.finished) if seed is None else seed
        shows = KINDS.get(name, name.replace("_", " ").replace("-", " "))
        path = folder / f"{cell.key}-{name}.png"
        shutil.copyfile(cell.record.pictures[name], path)
        alt = f"{cell.label} on {cell.data}: {shows}"
        found.append(Picture(path, alt, f"{shows[:1].upper()}{shows[1:]} (seed {seed})", _still(path), cell.key))
    return found


def strip(scope: Scope, folder: Path) -> list[Picture]:
    """Small multiples of one data set: the truth once, then each learnt density; of images the samples."""
    found: list[Picture] = []
    for cell in scope.cells:
        pictures = cell.record.pictures
        if "density" in pictures:
            panels = _panels(pictures["density"])
            learnt = folder / f"{cell.key}-learnt.png"
            if len(panels) < 3:
                shutil.copyfile(pictures["density"], learnt)
            else:
                if not found:
                    truth = folder / f"truth-{cell.data}.png"
                    _crop(pictures["density"], panels[-3], truth)
                    found.append(Picture(truth, f"{cell.data}: the truth", "truth"))
                _crop(pictures["density"], panels[-2], learnt)
            found.append(Picture(learnt, f"{cell.label} on {cell.data}: learnt density", cell.label, None, cell.key))
        elif "samples" in pictures:
            path = folder / f"{cell.key}-samples.png"
            found.append(Picture(path, f"{cell.label} on {cell.data}: samples", cell.label, None, cell.key))
    return found if len(found) > 1 else []


def _panels(path: Path) -> list[tuple[int, int, int, int]]:
    """The insides of the square panels of a picture, from left to right, by their frames."""
    import numpy as np
    from PIL import Image, ImageColor

    with Image.open(path) as image:
        frame = (np.abs(np.asarray(image.convert("RGB")).astype(int) - ImageColor.getrgb(HAIRLINE)) < 12).all(axis=2)
    columns = np.flatnonzero(frame.mean(axis=0) > 0.5)
    rows = np.flatnonzero(frame.mean(axis=1) > 0.5)
    if not len(columns) or not len(rows):
        return []
    edges = [group.mean() for group in np.split(columns, np.flatnonzero(np.diff(columns) > 3) + 1)]
    return [
        (round(left) + 2, int(rows[0]) + 2, round(right) - 1, int(rows[-1]) - 1)
        for left, right in zip(edges[::2], edges[1::2], strict=False)
    ]


def _crop(path: Path, box: tuple[int, int, int, int], target: Path) -> None:
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
