"""The charts as PNG, for pages without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from flowbench.plotting.canvas import HAIRLINE, INK, MUTED, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Styles = dict[str, tuple[str, str]]
Ends = tuple[float, float]
# Height of a line of a legend in inches, and of its letters the most that leave room for the axes.
_LINE, _LETTERS = 0.19, 34


def training(path: Path, table: pd.DataFrame, styles: Styles, *, title: str, domain: Ends) -> None:
    """Draw the mean losses of each flow over the steps, of one objective, each in the band of its seeds."""
    with canvas(path, 7.2, max(3.2, 0.4 + _LINE * table["flow"].nunique())) as figure:
        axes = figure.subplots()
        for flow, rows in table[~table["lost"]].groupby("flow", sort=False):
            colour, _ = styles[flow]
            axes.fill_between(rows["step"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
            axes.plot(rows["step"], rows["loss"], color=colour, linewidth=1.6, solid_capstyle="round")
        for row in table[table["lost"]].itertuples():
            place = row.step, min(domain[1], row.loss)
            axes.plot(*place, "x", color=styles[row.flow][0], markersize=7, markeredgewidth=2, clip_on=False)
        axes.set_ylim(domain)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.01)
        axes.set(xlabel="step", ylabel=title)
        _clean(axes)
        ends = table.groupby("flow", sort=False)["loss"].last().sort_values()
        _legend(figure, ends.index, styles)


def tradeoff(
    path: Path, table: pd.DataFrame, styles: Styles, *, title: str, log: bool, across: Ends, domain: Ends
) -> None:
    """Draw quality over sampling speed, each flow named beside its point; hollow is what cannot be best."""
    with canvas(path, 6.4, max(4.0, 0.16 * len(table))) as figure:
        axes = figure.subplots()
        for row in table.itertuples():
            colour, marker = styles[row.flow]
            face, edge = (colour, "white") if row.good else ("white", colour)
            look = {"markerfacecolor": face, "markeredgecolor": edge, "marker": marker, "markersize": 8}
            axes.plot(row.x, row.y, linestyle="none", zorder=3, **look)
            label = axes.text(row.x, row.label, f"   {_name(row.flow)}", color=INK, fontsize=8, va="center")
            label.set_in_layout(False)  # the axes have room for it already
        _logarithmic(axes, "x", across)
        if log:
            _logarithmic(axes, "y", domain)
        axes.set(xlim=across, ylim=domain, xlabel="samples drawn per second", ylabel=title)
        axes.text(
            0.995, 0.01, "better ↘", transform=axes.transAxes, ha="right", color=MUTED, fontsize=10, weight="bold"
        )
        _clean(axes)


def evaluations(path: Path, table: pd.DataFrame, styles: Styles, *, title: str, others: float | None) -> None:
    """Draw the distance of samples over evaluations; a dashed line is the distance of equally many other data."""
    with canvas(path, 7.2, max(3.2, 0.4 + _LINE * table["flow"].nunique())) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, method in zip(panels, ("euler", "midpoint"), strict=True):
            for flow, rows in table[table["method"] == method].groupby("flow", sort=False):
                colour, marker = styles[flow]
                axes.plot(
                    rows["evaluations"], rows["distance"], color=colour, marker=marker, markersize=5, linewidth=1.3
                )
                axes.fill_between(rows["evaluations"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
            for row in table[table["method"] == "adaptive"].itertuples():
                colour, marker = styles[row.flow]
                axes.plot(row.evaluations, row.distance, marker=marker, markersize=10, color=colour, linestyle="none")
            if others:
                axes.axhline(others, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.set_title({"euler": "Euler's method", "midpoint": "midpoint method"}[method], loc="left")
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
            _clean(axes)
        _logarithmic(panels[0], "y", table["distance"])
        panels[0].set_ylabel(title)
        figure.supxlabel("evaluations of the field per sample", color=MUTED, fontsize=9)
        _legend(figure, table["flow"].unique(), styles, markers=True)


def _logarithmic(axes: Axes, axis: str, values: Iterable[float]) -> None:
    """A logarithmic axis about the values, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(values) / 1.5, max(values) * 1.5
    widen = max(1.0, 10 * low / high) ** 0.5
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / widen, high * widen)})
    ticks = getattr(axes, f"{axis}axis")
    enough = {"x": 50, "y": 1000}[axis]  # labels need more room side by side than one above the other
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < enough else (1,)))
    ticks.set_minor_locator(NullLocator())
    ticks.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    """``0.05``, ``2,000``, ``50 k``, ``2 M``."""
    unit, size = ("M", 1e6) if value >= 1e6 else ("k", 1e3) if value >= 1e4 else ("", 1)
    return f"{value / size:,g} {unit}".strip()


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=HAIRLINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0)


def _legend(figure: Any, labels: Iterable[str], styles: Styles, *, markers: bool = False) -> None:
    """The flows in the order of their values, beside the axes: each with its line and, where it has one, its marker."""
    from matplotlib.lines import Line2D

    handles = []
    for label in labels:
        colour, marker = styles[label]
        look = {"marker": marker, "markersize": 6} if markers else {}
        handles.append(Line2D([], [], color=colour, label=_name(label), linewidth=2, **look))
    figure.legend(handles=handles, loc="outside right upper", labelcolor=INK)


def _name(label: str) -> str:
    return label if len(label) <= _LETTERS else f"{label[: _LETTERS - 1]}…"
