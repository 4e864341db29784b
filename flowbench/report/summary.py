"""What the numbers of one data set say, in two sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowbench.report.cells import CellResult
from flowbench.report.numbers import Estimate, marks, overlap, spread
from flowbench.report.tables import floor, quality_metric
from flowbench.report.verdicts import note

Ranked = list[tuple[CellResult, Estimate]]


def summary(cells: Sequence[CellResult]) -> str:
    """Which flow leads, how far above the truth, and where the best baseline stands; empty if there are no values.

    "Best" is said only where the tables say it in bold; cells without a finite value have no rank.
    """
    metric = quality_metric(cells)
    estimates = [(cell, e) for cell in cells if (e := cell.estimate(metric)) and math.isfinite(e.mean)]
    ranked: Ranked = sorted(estimates, key=lambda pair: pair[1].mean)
    flows = [(cell, e) for cell, e in ranked if not cell.baseline]
    baselines = [(cell, e) for cell, e in ranked if cell.baseline]
    lowest = None if metric == "kl_to_target" else floor(cells)
    unit = "nats of KL to the target" if metric == "kl_to_target" else "bits per dim"
    sentences = []
    if flows:
        sentences.append(_lead(flows, unit, lowest))
    elif any(not cell.baseline and cell.likelihood != "none" for cell in cells):
        sentences.append(f"No flow has finite {unit}.")
    if baselines:
        sentences.append(_baseline(baselines, flows, unit))
    return " ".join(sentences)


def _lead(flows: Ranked, unit: str, lowest: float | None) -> str:
    """The leading flow, its value, and who cannot be told from it."""
    (cell, e), *others = flows
    value = f"{spread(e)} {unit}"
    if lowest is not None:
        value += f", above the true density's by {spread(cell.excess, count=False)}"
    inexact = "" if cell.likelihood == "exact" else {"bound": "a bound", "estimate": "an estimate"}[cell.likelihood]
    known = ", ".join(filter(None, [inexact, note(cell)]))
    name = f"{cell.label} ({known})" if known else cell.label
    marked = marks([e for _, e in flows], "lower")
    if not others:
        return f"{name} reaches {value}."
    if marked[0] == "best":
        return f"{name} is the best flow: {value}."
    if within := [other.label for (other, _), mark in zip(others, marked[1:], strict=True) if mark]:
        return f"{name} leads the flows, tied with {_list(within)}: {value}."
    if marked[0]:
        return f"{name} has the best mean of the flows, though intervals overlap: {value}."
    if equal := [other.label for other, theirs in others if theirs.mean == e.mean]:
        return f"{_list([name, *equal])} have the lowest value of the flows: {value}."
    return f"{name} has the lowest value of the flows: {value}."


def _baseline(baselines: Ranked, flows: Ranked, unit: str) -> str:
    """Whether the best baseline beats every flow."""
    cell, e = baselines[0]
    name = f"The baseline {cell.label}"
    value = f"{spread(e)} {unit}"
    if not flows:
        return f"{name} reaches {value}."
    if e.mean >= flows[0][1].mean:
        return f"The nearest baseline is {cell.label}: {value}."
    if e.half is None or any(theirs.half is None for _, theirs in flows):
        return f"{name} has a lower value than every flow: {value}."
    if near := [flow.label for flow, theirs in flows if overlap(e, theirs)]:
        return f"{name} has a lower mean than every flow, though its interval overlaps that of {_list(near)}: {value}."
    return f"{name} beats every flow: {value}."


def _list(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
