"""The figures that compare the cells of one data set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowbench.metrics import FEW_EVALUATIONS, METRICS
from flowbench.plotting.canvas import HAIRLINE, INK, MUTED, canvas
from flowbench.records.training import HistoryRow
from flowbench.report.judgement.comparisons import ranking_metric
from flowbench.report.judgement.estimates import Estimate
from flowbench.report.judgement.ranking import Ranking
from flowbench.report.views.layout import Scope

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# One colour and marker per flow in every figure of every report; told apart by colour-blind readers too.
LOOKS = {
    "affine": ("#777777", "s"),
    "nice": ("#e69f00", "v"),
    "realnvp": ("#009e73", "^"),
    "realnvp-convolutional": ("#44aa99", "p"),
    "realnvp-vector": ("#117733", "*"),
    "glow": ("#0072b2", "o"),
    "glow-mixture": ("#56b4e9", "D"),
    "maf": ("#d55e00", "<"),
    "iaf": ("#cc79a7", ">"),
    "planar": ("#882255", "P"),
    "cnf": ("#332288", "d"),
    "flow_matching": ("#dd3497", "H"),
    "flow_matching-conditional": ("#8c510a", "s"),
    "flow_matching-independent": ("#dd3497", "H"),
    "flow_matching-ot": ("#7fbc41", "8"),
    "flow_matching-diffusion": ("#8e6bd8", "p"),
    "flow_autoencoder": ("#ee6677", "p"),
    "flow_autoencoder-reconstruction": ("#661100", "h"),
    "iaf_distilled": ("#6699cc", ">"),
    "gaussian": ("#333333", "X"),
    "gaussian-diagonal": ("#aaaaaa", "X"),
    "gaussian_mixture": ("#999933", "h"),
}
# What is minimised where it is not -log p of the data, by flow: such losses share no axis with others.
OBJECTIVES = {
    "flow_matching": "squared error of velocities",
    "flow_autoencoder": "nats of images and codes",
    "iaf_distilled": "nats of KL to the teacher",
}
_SPARE = [(colour, marker) for marker in "p8d*" for colour in ("#332288", "#44aa99", "#117733", "#ddcc77", "#aa4499")]


def looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The colour and marker of each flow; one that has none of its own takes the next spare."""
    new = sorted(set(labels) - LOOKS.keys())
    return LOOKS | {label: _SPARE[i % len(_SPARE)] for i, label in enumerate(new)}


def training_curves(path: Path, scope: Scope, styles: dict[str, tuple[str, str]]) -> bool:
    """Draw the validation loss of each seed over the steps; the training loss where none was measured.

    In nats, but of images in bits per dim, as their table has it. Cells whose objectives differ, though they share a
    unit, have a panel each.

    Returns:
        Whether some losses are above what is drawn.
    """
    unit, size = _unit(scope)
    curves = [
        (cell, seed, [(step, loss / size) for step, loss in points])
        for cell in scope.cells
        for seed, rows in cell.record.training.history.items()
        if len(points := _curve(rows)) > 1
    ]
    labels = [cell.label for cell in scope.cells]
    panels = [[label] for label in labels] if unit in OBJECTIVES.values() else [labels]
    cut = False
    with canvas(path, 8.6, 3.3) as figure:
        for axes, shown in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            drawn = [curve for curve in curves if curve[0].label in shown]
            for cell, seed, points in drawn:
                colour, _ = styles[cell.label]
                axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.3, alpha=0.85, solid_capstyle="round")
                if seed in cell.diverged or seed in cell.failed:
                    axes.plot(*points[-1], "x", color=colour, markersize=7, markeredgewidth=2, clip_on=False)
            if drawn:
                low, high = _limits([points for _, _, points in drawn])
                axes.set_ylim(low, high)
                axes.ticklabel_format(axis="y", useOffset=False)
                cut |= any(loss > high for _, _, points in drawn for _, loss in points)
            axes.margins(x=0.01)
            axes.set(xlabel="step")
            axes.xaxis.set_major_formatter("{x:,.0f}")
            _clean(axes)
            if len(panels) > 1:
                axes.set_title(shown[0], loc="left", fontsize=9)
                axes.locator_params(axis="x", nbins=3)
        figure.axes[0].set_ylabel(f"validation loss ({unit})")
        if len(panels) == 1:
            order = {cell.label: min(points[-1][1], math.inf) for cell, _, points in reversed(curves)}
            _legend(figure, sorted(order, key=order.__getitem__), styles, lines=True)
    return cut


def quality_against_cost(path: Path, scope: Scope, styles: dict[str, tuple[str, str]]) -> bool:
    """Draw quality over training time and over sampling throughput, with the frontier that nothing beats.

    Hollow, and not part of the frontier, is what cannot be compared, as it was measured on fewer test examples.

    Returns:
        Whether there is such.
    """
    metric = ranking_metric(scope.frame)
    compared = scope.labels(list(scope.verdict.gaps))
    found = {cell.label: scope.estimates.get(cell.key, metric) for cell in scope.cells}
    quality = {label: e for label, e in found.items() if e and e.finite}
    floor = scope.first("entropy_floor_bits_per_dim")
    name = METRICS[metric].head
    # Above the truth a logarithm tells the good ones apart, as long as chance has put none below it.
    above_truth = {cell.label: scope.estimates.above_truth(cell.key) for cell in scope.cells}
    excess = {label: e for label, e in above_truth.items() if e and e.finite}
    above = metric == "bits_per_dim" and floor is not None and all(e.value > 0 for e in excess.values())
    if above:
        quality, name = excess, "bits per dim above the truth"
    costs = {"train_seconds": ("training time (s)", 1), "sample_samples_per_second": ("samples drawn per second", -1)}
    with canvas(path, 8.6, 3.3) as figure:
        for axes, (cost, (cost_name, sign)) in zip(figure.subplots(1, 2, sharey=True), costs.items(), strict=True):
            points = []
            for cell in scope.cells:
                x, y = scope.value(cell, cost), quality.get(cell.label)
                if not (x and y and x > 0):
                    continue
                colour, marker = styles[cell.label]
                bars = {"capsize": 2.5, "elinewidth": 1, "linestyle": "none"}
                edge = {"markersize": 8, "markeredgecolor": "white", "markeredgewidth": 0.6}
                if cell.label not in compared:
                    edge |= {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 1.2}
                axes.errorbar(x, y.value, _bars(y), color=colour, marker=marker, zorder=3, **bars, **edge)
                points.append((x, y.value, cell.label in compared))
            if points:
                _logarithmic(axes, "x", [x for x, _, _ in points])
                frontier = _frontier([(x, y) for x, y, of_compared in points if of_compared], sign)
                where = "post" if sign > 0 else "pre"
                axes.step(*zip(*frontier, strict=True), where=where, color=MUTED, linewidth=0.8, alpha=0.6, zorder=1)
            axes.set_xlabel(cost_name)
            _clean(axes)
            if points and (metric == "kl_to_target" or above):
                _logarithmic(axes, "y", [y for _, y, _ in points])
            elif floor is not None:
                axes.axhline(floor, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
                axes.text(
                    1, floor, "entropy floor", transform=axes.get_yaxis_transform(), color=MUTED, fontsize=8, ha="right"
                )
        figure.axes[0].set_ylabel(name)
        _legend(figure, sorted(quality, key=lambda label: quality[label].value), styles)
    return not quality.keys() <= set(compared)


def _bars(e: Estimate) -> list[list[float]]:
    """The interval as what an error bar is drawn by."""
    return [[e.value - e.low], [e.high - e.value]] if e.known else [[0.0], [0.0]]


def quality_against_evaluations(path: Path, scope: Scope, styles: dict[str, tuple[str, str]]) -> None:
    """Draw how far samples of continuous flows are from test data over the evaluations of the field that they took.

    Lines are means over the seeds, within a band from the best to the worst; what is not finite is left out. A dashed
    line shows the mean distance of equally many other test data.
    """
    by_solver = {cell.label: scope.value(cell, "energy_distance_adaptive") for cell in scope.cells}
    final = {label: value for label, value in by_solver.items() if value is not None and math.isfinite(value)}
    others = scope.first("energy_distance_data")
    shown = [*final.values(), *([others] if others else [])]
    with canvas(path, 8.6, 3.3) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        titles = {"euler": "Euler's method", "midpoint": "midpoint method"}
        for axes, (method, title) in zip(panels, titles.items(), strict=True):
            for cell in scope.cells:
                colour, marker = styles[cell.label]
                look = {"color": colour, "marker": marker, "markeredgecolor": "white", "markeredgewidth": 0.6}
                found = {n: scope.estimates.get(cell.key, f"energy_distance_{method}_{n}") for n in FEW_EVALUATIONS}
                few = {n: e for n, e in found.items() if e and e.finite}
                counts, means, low = list(few), [e.value for e in few.values()], [e.least for e in few.values()]
                axes.plot(counts, means, markersize=5, linewidth=1.3, clip_on=False, **look)
                axes.fill_between(counts, low, [e.most for e in few.values()], color=colour, alpha=0.15, linewidth=0)
                evaluations = scope.value(cell, "sample_evaluations")
                if cell.label in final and evaluations:
                    axes.plot(evaluations, final[cell.label], markersize=10, linestyle="none", zorder=3, **look)
                shown += low + means
            if others:
                axes.axhline(others, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
            axes.set_title(title, loc="left")
            axes.set_xscale("log", base=2)
            axes.set_xlabel("evaluations of the field per sample")
            axes.xaxis.set_major_formatter("{x:g}")
            _clean(axes)
        if shown:
            _logarithmic(panels[0], "y", shown)
        panels[0].set_ylabel("energy distance to test data")
        _legend(figure, sorted(final, key=final.__getitem__), styles)


def mean_ranks(path: Path, ranking: Ranking, styles: dict[str, tuple[str, str]]) -> None:
    """Draw mean ranks with bars as wide as the critical difference: where two overlap, flows are not told apart."""
    means = ranking.means
    with canvas(path, 8.6, 0.6 + 0.25 * len(means)) as figure:
        axes = figure.subplots()
        for y, (name, mean) in enumerate(means.items()):
            colour, marker = styles[name]
            bar = {"xerr": ranking.critical_difference / 2, "capsize": 2.5, "elinewidth": 1.2}
            look = {"marker": marker, "markersize": 8, "markeredgecolor": "white"}
            axes.errorbar(mean, y, color=colour, **bar, **look)
        axes.set_yticks(range(len(means)), list(means))
        axes.invert_yaxis()
        axes.set_xlabel(f"mean rank over {len(ranking.ranks)} data sets")
        _clean(axes)


def _curve(rows: Sequence[HistoryRow]) -> list[tuple[int, float]]:
    validated = [(row.step, row.validation_loss) for row in rows if row.validation_loss is not None]
    points = validated or [(row.step, row.loss) for row in rows]
    return [(step, loss) for step, loss in points if math.isfinite(loss)]


def _unit(scope: Scope) -> tuple[str, float]:
    """The unit of losses and its size in nats, which for bits per dim is D ln 2."""
    if objective := OBJECTIVES.get(scope.cells[0].flow):
        return objective, 1.0
    for cell in scope.cells:
        nats, bits = scope.value(cell, "nll_nats"), scope.value(cell, "bits_per_dim")
        if "samples" in cell.record.pictures and nats and bits and math.isfinite(nats):
            return "bits per dim", nats / bits
    return "nats", 1.0


def _limits(curves: list[list[tuple[int, float]]]) -> tuple[float, float]:
    """From the lowest loss to the slowest curve's after a tenth of its steps: the fall before dwarfs the rest.

    A fifth of the curves may lie so far above the others that they are cut off.
    """
    low = min(loss for points in curves for _, loss in points)
    after = sorted(points[len(points) // 10][1] for points in curves)
    high = min(after[-1], low + 1.5 * (after[int(0.8 * (len(after) - 1))] - low))
    pad = 0.05 * (high - low) or 0.5
    return low - pad, high + pad


def _frontier(points: list[tuple[float, float]], sign: int) -> list[tuple[float, float]]:
    """The points that no other beats in both cost and quality, the cheapest first (``sign`` 1: low cost is good)."""
    frontier: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (sign * point[0], point[1])):
        if not frontier or y < frontier[-1][1]:
            frontier.append((x, y))
    return frontier


def _logarithmic(axes: Axes, axis: str, values: list[float]) -> None:
    """A logarithmic axis of at least a decade around the values, with plain numbers at its ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = min(values) / 1.5, max(values) * 1.5
    widen = max(1.0, 10 * low / high) ** 0.5
    axes.set(**{f"{axis}scale": "log", f"{axis}lim": (low / widen, high * widen)})
    ticks = getattr(axes, f"{axis}axis")
    # Labels need more room side by side than one above the other.
    room = {"x": 50, "y": 1000}[axis]
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < room else (1,)))
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


def _legend(figure: Any, labels: Sequence[str], styles: dict[str, tuple[str, str]], lines: bool = False) -> None:
    """The flows in the order of their values, beside the axes."""
    from matplotlib.lines import Line2D

    handles = []
    for label in labels:
        colour, marker = styles[label]
        look = {"linewidth": 2} if lines else {"linestyle": "none", "marker": marker, "markersize": 8}
        handles.append(Line2D([], [], color=colour, label=label, markeredgecolor="white", **look))
    if handles:
        figure.legend(handles=handles, loc="outside right upper", labelcolor=INK)
