"""What the charts draw, as frames: both matplotlib and Vega-Lite draw the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from flowbench.metrics import FEW_EVALUATIONS, METRICS
from flowbench.records.training import HistoryRow
from flowbench.report.frame import CellResult
from flowbench.report.judgement.answers import COSTS, MARGIN
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.text import words

_SPARE = [(colour, marker) for marker in "p8d*" for colour in ("#332288", "#44aa99", "#117733", "#b8a029", "#aa4499")]
# A page needs no more points of a curve than this.
_POINTS = 60
# Training has reached a plateau where its last fifth brought less than this share of what it brought after its first
# tenth, in which losses fall from wherever they start.
PLATEAU_SHARE = 0.02
# With fewer losses there is no telling. A plateau needs the second number: of a few losses in a row, chance makes some
# equal.
_LEAST_LOSSES, _LEAST_FOR_PLATEAU = 5, 20
# Of -log p, in which losses of different flows share an axis.
LIKELIHOODS = ("bits per dim", "nats", "nats of KL, up to a constant")


def looks(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The colour and marker of each flow; one that has none of its own takes the next spare."""
    known = {label: tuple(look) for flow in words("flows").values() for label, look in flow.get("looks", {}).items()}
    new = sorted(set(labels) - known.keys())
    return known | {label: _SPARE[i % len(_SPARE)] for i, label in enumerate(new)}


def losses(rows: Sequence[HistoryRow]) -> list[tuple[int, float]]:
    """The finite validation losses of a seed by step; the training losses where none was measured."""
    validated = [(row.step, row.validation_loss) for row in rows if row.validation_loss is not None]
    points = validated or [(row.step, row.loss) for row in rows]
    return [(step, loss) for step, loss in points if math.isfinite(loss)]


def settled(cell: CellResult) -> bool | None:
    """Whether training reached a plateau for each seed; ``None`` where there are too few losses to say."""
    shares, fewest = [], math.inf
    for rows in cell.record.training.history.values():
        points = losses(rows)
        if len(points) < _LEAST_LOSSES:
            return None
        fewest = min(fewest, len(points))
        best = pd.Series([loss for _, loss in points]).cummin()
        start, late, end = best.iloc[len(best) // 10], best.iloc[4 * len(best) // 5 - 1], best.iloc[-1]
        shares.append((late - end) / (start - end) if start > end else 0.0)
    if shares and max(shares) >= PLATEAU_SHARE:
        return False
    return True if shares and fewest >= _LEAST_FOR_PLATEAU else None


def band(cell: CellResult) -> pd.DataFrame:
    """Losses by step over the seeds that were not lost: their mean is ``loss``, least ``low`` and most ``high``.

    Only steps at which all of them have a loss are kept, so that no line jumps where a seed is missing.
    """
    lost = cell.diverged.keys() | cell.failed.keys()
    history = {seed: rows for seed, rows in cell.record.training.history.items() if seed not in lost}
    seeds = {seed: pd.Series(dict(points), dtype=float) for seed, rows in history.items() if (points := losses(rows))}
    of_seeds = pd.DataFrame(seeds).dropna()
    found = {"loss": of_seeds.mean(axis=1), "low": of_seeds.min(axis=1), "high": of_seeds.max(axis=1)}
    return pd.DataFrame(found).replace(math.inf, math.nan).dropna()


def loss_unit(scope: Scope, cell: CellResult) -> tuple[str, float]:
    """What the loss of a cell is shown in, and how much of the loss makes one of it.

    Bits per dim where -log p is minimised and the table of the data set is in them.
    """
    unit = cell.record.training.loss_unit
    if unit == "nats" and scope.quality == "kl_to_target":
        return "nats of KL, up to a constant", 1.0
    both = ((scope.value(cell, "nll_nats"), scope.value(cell, "bits_per_dim")) for cell in scope.cells)
    of_bit = next((nats / bits for nats, bits in both if nats and bits and math.isfinite(nats)), None)
    return ("bits per dim", of_bit) if unit == "nats" and of_bit else (unit, 1.0)


def curves(scope: Scope) -> pd.DataFrame:
    """Losses of each flow over the steps: ``flow``, ``step``, ``loss``, ``low``, ``high``, ``unit`` and ``lost``.

    They are those of `band`. Where ``lost`` holds, the row is the last loss of a seed that was lost, and lies on no
    line.
    """
    found: list[tuple] = []
    for cell in scope.cells:
        unit, size = loss_unit(scope, cell)
        line = [(int(step), values, False) for step, *values in band(cell).itertuples()]
        points = line[:: -(-len(line) // _POINTS) or 1] + line[-1:]
        for seed, rows in cell.record.training.history.items():
            if (seed in cell.diverged or seed in cell.failed) and (ends := losses(rows)[-1:]):
                points += [(step, [loss] * 3, True) for step, loss in ends]
        found += [
            (cell.label, step, *(float(f"{value / size:.6g}") for value in values), unit, lost)
            for step, values, lost in points
        ]
    table = pd.DataFrame(found, columns=["flow", "step", "loss", "low", "high", "unit", "lost"])
    return table.drop_duplicates()


def pace(scope: Scope) -> dict[str, float | None]:
    """By flow the steps after which its mean loss is within `MARGIN` of the lowest of all; ``None`` if it never is.

    Of flows that minimise -log p, whose losses can be compared.
    """
    table = curves(scope)
    table = table[table["unit"].isin(LIKELIHOODS) & ~table["lost"]]
    near = table[table["loss"] <= table["loss"].min() + MARGIN].groupby("flow")["step"].min()
    return {flow: float(near[flow]) if flow in near else None for flow in dict.fromkeys(table["flow"])}


def limits(table: pd.DataFrame) -> tuple[float, float]:
    """From the lowest loss to the slowest flow's after a tenth of its steps: the fall before dwarfs the rest.

    A fifth of the flows may lie so far above the others that they are cut off.
    """
    lines = table if table["lost"].all() else table[~table["lost"]]
    of_flows = [list(losses) for _, losses in lines.groupby("flow", sort=False)["high"]]
    low = float(lines["low"].min())
    after = sorted(values[len(values) // 10] for values in of_flows)
    high = min(after[-1], low + 1.5 * (after[int(0.8 * (len(after) - 1))] - low))
    pad = 0.05 * (high - low) or 0.5
    return low - pad, high + pad


# How many times the largest value of those that can be best a chart still shows of the others.
_FAR = 10.0


def tradeoff(scope: Scope) -> pd.DataFrame:
    """Quality and speed of the cells on one data set, with where their labels stand.

    Columns: ``flow``, ``x``, ``y``, ``good`` (whether it may be best), ``of`` (what y is) and ``label`` (its y). A cell
    that cannot be best, and lies so far above all that can that they would be squeezed together, is left out.
    """
    found = scope.verdict()
    quality = {cell.key: scope.estimates.get(cell.key, scope.quality) for cell in scope.cells}
    above = {cell.key: scope.estimates.above_truth(cell.key) for cell in scope.cells}
    name = METRICS[scope.quality].head
    # Above the truth a logarithm tells the good ones apart, as long as chance has put none below it.
    positive = all(e is None or not e.finite or e.value > 0 for e in above.values())
    if scope.quality == "bits_per_dim" and positive and any(above.values()):
        quality, name = above, "bits per dim above the truth"
    rows = []
    for cell in scope.cells:
        x, e = scope.value(cell, COSTS["fastest sampler"]), quality[cell.key]
        if x and x > 0 and e and abs(e.value) < numbers.ASTRONOMIC and cell.key in found.gaps:
            rows.append((cell.label, x, e.value, cell.key not in found.excluded, name))
    table = pd.DataFrame(rows, columns=["flow", "x", "y", "good", "of"])
    if table["good"].any() and logarithmic(table["y"]):
        table = table[table["good"] | (table["y"] < _FAR * table.loc[table["good"], "y"].max())]
    table = table.reset_index(drop=True)
    return table.assign(label=_apart(table))


def logarithmic(values: pd.Series) -> bool:
    """Whether an axis of values that are all positive should be logarithmic."""
    return bool((values > 0).all()) and len(values) > 0 and float(values.max() / values.min()) > 5


def domains(table: pd.DataFrame) -> tuple[tuple[float, float], tuple[float, float]]:
    """What the axes of `tradeoff` show: x with room for the labels, which stand at the right of their points."""
    x = table["x"].map(math.log)
    start = x.min() - 0.04 * (x.max() - x.min()) - 0.1
    span = ((x - start) / (1 - _width(table))).max()
    y = table["y"].map(math.log) if logarithmic(table["y"]) else table["y"]
    pad = 0.06 * (y.max() - y.min()) or 0.1
    low, high = float(y.min() - 2 * pad), float(y.max() + pad)
    up = (math.exp(low), math.exp(high)) if logarithmic(table["y"]) else (low, high)
    return (math.exp(start), math.exp(start + span)), up


def _width(table: pd.DataFrame) -> pd.Series:
    """Of the labels, as shares of the x axis."""
    return (table["flow"].str.len() * 7 + 14).clip(upper=300) / 480


def _apart(table: pd.DataFrame) -> list[float]:
    """Where labels stand on the y axis so that none hides another; in the order of the table."""
    if table.empty:
        return []
    (left, right), (low, high) = domains(table)
    log = logarithmic(table["y"])
    x = (table["x"].map(math.log) - math.log(left)) / math.log(right / left)
    y = (table["y"].map(math.log) - math.log(low)) / math.log(high / low) if log else (table["y"] - low) / (high - low)
    width, height, placed = _width(table), 0.047, pd.DataFrame(columns=["left", "right", "y"], dtype=float)
    for i in y.sort_values(kind="stable").index:
        at = y[i]
        beside = placed[(placed["left"] < x[i] + width[i]) & (placed["right"] > x[i])]
        for other in beside["y"].sort_values():
            if abs(other - at) < height:
                at = other + height
        placed.loc[i] = [x[i], x[i] + width[i], at]
    found = placed["y"][table.index]
    return list(low * (high / low) ** found if log else low + found * (high - low))


def evaluations(scope: Scope) -> pd.DataFrame:
    """How far samples are from test data over the evaluations of the field that they took.

    Columns: ``flow``, ``method`` (``Euler``, ``midpoint`` or ``adaptive``), ``evaluations``, ``distance``, ``low`` and
    ``high`` (of the seeds).
    """
    rows = []
    for cell in scope.having("energy_distance_adaptive").cells:
        few = {
            (method, n): f"energy_distance_{method}_{n}" for method in ("euler", "midpoint") for n in FEW_EVALUATIONS
        }
        adaptive = {("adaptive", scope.value(cell, "sample_evaluations")): "energy_distance_adaptive"}
        for (method, n), metric in (few | adaptive).items():
            e = scope.estimates.get(cell.key, metric)
            if n and e and e.finite:
                rows.append((cell.label, method, n, e.value, e.least, e.most))
    return pd.DataFrame(rows, columns=["flow", "method", "evaluations", "distance", "low", "high"])
