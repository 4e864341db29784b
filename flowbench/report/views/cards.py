"""A card for each flow: what it is, what it costs, and where it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowbench.report.frame import CellResult
from flowbench.report.views.pictures import OF_FLOWS, Picture
from flowbench.report.views.scope import Scope, grouped
from flowbench.report.views.tables import Table, of_words
from flowbench.report.views.text import listed, say, words

# What is said of a flow that `flows.yaml` does not know.
UNKNOWN: dict[str, Any] = {"idea": "", "equation": "", "papers": {}, "density": "", "sampling": "", "variants": {}}


def cards(scope: Scope, pictures: dict[str, list[Picture]]) -> list[dict[str, Any]]:
    """The flows of a suite in the order of ``flows.yaml``; those that it does not know come last, with less.

    Args:
        pictures: of each cell, by its key.
    """
    known = words("flows")
    groups = grouped(scope.cells, lambda cell: cell.flow)
    found = []
    for flow in sorted(groups, key=[*known, *groups].index):
        of_flow = replace(scope, cells=groups[flow])
        about = UNKNOWN | {"name": flow} | known.get(flow, {})
        labels = dict.fromkeys(cell.label for cell in of_flow.cells)
        first: dict[str, Picture] = {}
        for picture in (one for cell in of_flow.cells for one in pictures[cell.key]):
            if picture.kind in OF_FLOWS:
                first.setdefault(picture.kind, picture)
        evaluations = [of_flow.value(cell, "sample_evaluations") for cell in of_flow.cells]
        counts = sorted({round(n) for n in evaluations if n})
        found.append(
            about
            | {
                "flow": flow,
                "labels": {label: about["variants"].get(label, "") for label in labels},
                "likelihood": likelihood(of_flow),
                "evaluations": f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else "".join(map(str, counts)),
                "standing": _standing(scope, set(labels)),
                "pictures": list(first.values()),
            }
        )
    return found


def likelihood(scope: Scope) -> str:
    """What log p(x) is of the cells of a flow, and on which data where that differs."""

    def word(cell: CellResult) -> str:
        solved = cell.likelihood == "exact" and scope.has(cell, "solver_tolerance")
        return "exact to the solver’s tolerance" if solved else cell.likelihood

    groups = grouped(scope.cells, word)
    if len(groups) == 1:
        return next(iter(groups))
    return ", ".join(f"{found} on {listed(dict.fromkeys(cell.data for cell in of))}" for found, of in groups.items())


def exactness(cards: list[dict[str, Any]]) -> Table:
    """What log p(x) is of each flow, and what it and a sample cost, side by side."""
    rows = [(card["name"], card["likelihood"], card["density"] or "–", card["sampling"] or "–") for card in cards]
    return of_words(say("exactness"), "flow", ["log p(x)", "cost of a density", "cost of a sample"], rows)


def _standing(scope: Scope, labels: set[str]) -> dict[str, dict[str, str]]:
    """The data sets where a flow is best or tied with the best, or last of several, each with the key of its cell."""
    found: dict[str, dict[str, str]] = {"best": {}, "tied": {}, "last": {}}
    for data, of_data in scope.by_data.items():
        verdict = of_data.verdict()
        flows = {key: gap for key, gap in verdict.gaps.items() if not of_data.by_key[key].baseline}
        if len(flows) < 2:
            continue
        ours = [key for key in flows if of_data.by_key[key].label in labels]
        last = max(flows, key=lambda key: flows[key].value)
        if verdict.best in ours and verdict.chip == "clear":
            found["best"][data] = verdict.best
        elif tied := [key for key in verdict.leading if key in ours]:
            found["tied"][data] = tied[0]
        if last in ours and flows[last].told_apart:
            found["last"][data] = last
    return found
