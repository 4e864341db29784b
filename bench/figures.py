"""The figures of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from bench.scaling import SIZES, Point, exponent

if TYPE_CHECKING:
    from bench.page import Comparison


def speed(path: Path, compared: Sequence[Comparison]) -> None:
    """A bar for each work and quantity, with a mark at the goal; one is the fastest other library."""
    figure = Figure(figsize=(9, 0.42 * len(compared) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, found in enumerate(compared):
        axes.barh(place, found.ratio - 1, left=1, color="#2b7a78" if found.ratio >= 1 else "#b5533c", height=0.6)
        axes.plot([found.goal] * 2, [place - 0.38, place + 0.38], color="black", linewidth=1.5)
        axes.annotate(
            f"{found.ratio:.2f} × {found.best}",
            (max(found.ratio, 1, found.goal), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            size=8,
        )
    axes.set(
        xscale="log",
        yticks=range(len(compared)),
        yticklabels=[f"{found.work}: {found.quantity}" for found in compared],
        xlabel="speed of flowbench over that of the fastest other library; black: the goal",
    )
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.axvline(1, color="grey", linewidth=1)
    axes.margins(x=0.25)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def scaling(path: Path, points: Sequence[Point]) -> None:
    """The milliseconds of a training step against each size, with the fitted exponents."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, axis in zip(figure.subplots(1, len(SIZES), sharey=True), SIZES, strict=True):
        for flow in dict.fromkeys(point.flow for point in points):
            found = [point for point in points if (point.flow, point.axis) == (flow, axis)]
            if len(found) < 2:
                continue
            axes.plot(
                [point.size for point in found],
                [1000 * point.seconds for point in found],
                marker="o",
                markersize=3,
                label=f"{flow}, exponent {exponent(points, flow, axis):.2f}",
            )
        axes.set(xscale="log", yscale="log", xlabel=axis)
        axes.legend(frameon=False, fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("milliseconds of a training step")
    figure.savefig(path, dpi=110)
