"""A figure in the style of the suite. The bytes of its file depend only on what is drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, HAIRLINE = "#1b1f24", "#667080", "#d5dae1"
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


@contextmanager
def canvas(path: Path, width: float, height: float, title: str = "", *, colourful: bool = False) -> Iterator[Figure]:
    """A figure of ``width`` × ``height`` inches that is written to ``path`` as PNG when the block ends.

    The user's matplotlib settings and the time of day do not change the file. A file holds 256
    colours. For figures with more, such as photographs, ``colourful`` chooses them better and takes a second longer.
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
    # A palette makes the file three times smaller, and the difference cannot be seen.
    picture = Image.open(buffer).convert("RGB")
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    picture = picture.quantize(256, method, kmeans=int(colourful), dither=dither)
    picture.save(path, format="png", optimize=True)
