"""A figure in the style of the suite, still or moving. The bytes of its file depend only on what is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

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
# Of a bold letter, in units of the size of the font.
_LETTER_WIDTH = 0.68
_MOVING_DPI = 100
# Of an animation: how long a frame and all of them stay at most, and how long the last does.
_FRAME_SECONDS, _LOOP_SECONDS, _LAST_SECONDS = 0.4, 4.5, 2.0
# An animation has one palette, made from this many of its frames. Few colours make it small.
_MOVING_COLOURS, _PALETTE_FRAMES = 128, 6


@contextmanager
def canvas(path: Path, width: float, height: float, title: str = "", *, colourful: bool = False) -> Iterator[Figure]:
    """A figure of ``width`` × ``height`` inches that is written to ``path`` as PNG when the block ends.

    The user's matplotlib settings and the time of day do not change the file. A file holds 256
    colours. For figures with more, such as photographs, ``colourful`` chooses them better and takes a second longer.
    """
    from PIL import Image

    with _figure(width, height, title, DPI) as figure:
        yield figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    # A palette makes the file three times smaller, and the difference cannot be seen.
    picture = Image.open(buffer).convert("RGB")
    method, dither = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    picture = picture.quantize(256, method, kmeans=int(colourful), dither=dither)
    picture.save(path, format="png", optimize=True)


@contextmanager
def film(path: Path, width: float, height: float, title: str = "") -> Iterator[tuple[Figure, Callable[[], None]]]:
    """A figure of ``width`` × ``height`` inches, and a function that adds what it shows as a frame.

    The frames are written to ``path`` as an animated PNG, which begins anew without end, when the block ends.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    frames: list[Image.Image] = []
    with _figure(width, height, title, _MOVING_DPI) as figure:
        screen = FigureCanvasAgg(figure)

        def shoot() -> None:
            screen.draw()
            if not frames:  # then nothing moves but what is meant to
                figure.set_layout_engine("none")
            frames.append(Image.fromarray(np.asarray(screen.buffer_rgba())[..., :3].copy()))

        yield figure, shoot
    each = min(_FRAME_SECONDS, _LOOP_SECONDS / len(frames))
    milliseconds = [round(1000 * seconds) for seconds in (*[each] * (len(frames) - 1), _LAST_SECONDS)]
    chosen = frames[:: -(-len(frames) // _PALETTE_FRAMES)] + frames[-1:]
    columns, rows = frames[0].size
    together = Image.new("RGB", (columns, rows * len(chosen)))
    for i, frame in enumerate(chosen):
        together.paste(frame, (0, i * rows))
    palette = together.quantize(_MOVING_COLOURS, Image.Quantize.MEDIANCUT)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    first.save(path, format="png", save_all=True, append_images=others, duration=milliseconds, loop=0, optimize=True)


def title_size(title: str, width: float) -> float:
    """The size in points at which a title fits into so many inches."""
    return min(STYLE["figure.titlesize"], 72 * width / (_LETTER_WIDTH * max(1, len(title))))


def plane(axes: Axes, name: str, x: tuple[float, float], y: tuple[float, float] | None = None) -> Axes:
    """Axes of the plane with limits ``x`` and ``y``, which is ``x`` where none is given, and few plain numbers."""
    axes.set(xlim=x, ylim=y or x, aspect="equal", title=name)
    axes.locator_params(nbins=5)
    axes.tick_params(length=0, labelsize=7)
    return axes


@contextmanager
def _figure(width: float, height: float, title: str, dpi: int) -> Iterator[Figure]:
    """A figure in the style of the suite, whatever the user's settings are."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
        if title:
            figure.suptitle(title, x=0.008, ha="left", size=title_size(title, width))
        yield figure
