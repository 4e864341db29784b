"""What the numbers of one data set say, in two sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowbench.report.cells import CellResult, comparable, score_differences
from flowbench.report.numbers import Estimate, estimate, marks, spread
from flowbench.report.tables import UNITS, floor, quality_metric
from flowbench.report.verdicts import note

# More are counted.
_NAMED = 3
Ranked = list[tuple[CellResult, Estimate]]


def summary(cells: Sequence[CellResult]) -> str:
    """Which flow leads, how far above the truth, and where the best baseline stands; empty if there are no values.

    "Best" is said only where the tables say it in bold; cells without a finite value have no rank.
    """
    metric = quality_metric(cells)
    shown = comparable(cells, metric)
    scores = [(cell, estimate(list(cell.score(metric).values()))) for cell in shown]
    ranked: Ranked = sorted(scores, key=lambda pair: pair[1].mean)
    flows = [(cell, e) for cell, e in ranked if not cell.baseline]
    baselines = [(cell, e) for cell, e in ranked if cell.baseline]
    lowest = None if metric == "kl_to_target" else floor(cells)
    unit = UNITS[metric]
    sentences = []
    if flows:
        sentences.append(_lead(flows, baselines, metric, unit, lowest))
    elif any(not cell.baseline and cell.likelihood != "none" for cell in cells):
        sentences.append(f"No flow has finite {unit}.")
    if baselines:
        sentences.append(_baseline(baselines, flows, metric, unit))
    others = [cell for cell in cells if cell not in shown and (e := cell.estimate(metric)) and math.isfinite(e.mean)]
    if others:
        sentences.append(f"Not compared, as measured on fewer test examples: {_list([cell.label for cell in others])}.")
    return " ".join(sentences)


def _lead(flows: Ranked, baselines: Ranked, metric: str, unit: str, lowest: float | None) -> str:
    """The leading flow, its value, and who cannot be told from it, by the test of the table of differences."""
    (cell, e), *others = flows
    value = f"{spread(cell.estimate(metric))} {unit}"
    if lowest is not None:
        value += f", above the true density's by {spread(cell.excess, count=False)}"
    inexact = "" if cell.likelihood == "exact" else {"bound": "a bound", "estimate": "an estimate"}[cell.likelihood]
    known = ", ".join(filter(None, [inexact, note(cell)]))
    name = f"{cell.label} ({known})" if known else cell.label
    marked = marks([e for _, e in flows], "lower")
    if not others:
        return f"{name} reaches {value}."
    if marked[0]:
        near = _near(cell, flows, baselines, metric)
        if not near:
            best = "is the best flow" if marked[0] == "best" else "has the lowest mean of the flows, significantly so"
            return f"{name} {best}: {value}."
        if len(near) > _NAMED:
            near = ["any other" if len(near) == len(others) else f"{len(near)} of the {len(others)} others"]
        return f"{name} has the lowest mean of the flows, not significantly different from {_list(near)}: {value}."
    if equal := [other.label for other, theirs in others if theirs.mean == e.mean]:
        return f"{_list([name, *equal])} have the lowest value of the flows: {value}."
    return f"{name} has the lowest value of the flows: {value}."


def _baseline(baselines: Ranked, flows: Ranked, metric: str, unit: str) -> str:
    """Whether the best baseline beats every flow."""
    cell, e = baselines[0]
    name = f"The baseline {cell.label}"
    value = f"{spread(cell.estimate(metric))} {unit}"
    if not flows:
        return f"{name} reaches {value}."
    if e.mean >= flows[0][1].mean:
        return f"The nearest baseline is {cell.label}: {value}."
    if e.half is None or any(theirs.half is None for _, theirs in flows):
        return f"{name} has a lower value than every flow: {value}."
    near = _near(cell, flows, baselines, metric)
    if not near:
        return f"{name} beats every flow: {value}."
    if len(near) > _NAMED:
        near = ["any" if len(near) == len(flows) else f"{len(near)} of the {len(flows)}"]
    return f"{name} has a lower mean than every flow, not significantly different from {_list(near)}: {value}."


def _near(cell: CellResult, flows: Ranked, baselines: Ranked, metric: str) -> list[str]:
    """The flows that cannot be told from a cell, by the test of the table of differences and its correction."""
    compared = [one for one, _ in flows + baselines]
    found = score_differences(compared, cell, metric)
    others = [one for one in compared if one is not cell]
    told = zip(others, found, strict=True)
    return [other.label for other, one in told if not (one.significant or other.baseline)]


def _list(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
