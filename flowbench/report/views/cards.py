"""A card for each flow: what it is, what it costs, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement.answers import COSTS, MARGIN
from flowbench.report.views import numbers, series, top
from flowbench.report.views.pictures import OF_FLOWS, Picture
from flowbench.report.views.scope import Scope, grouped
from flowbench.report.views.tables import Entry, Table, of_cells, of_metric, texts
from flowbench.report.views.text import listed, say, words

# What is said of a flow that `flows.yaml` does not know.
UNKNOWN: dict[str, Any] = {
    "kind": "",
    "idea": "",
    "equation": "",
    "papers": {},
    "density": "",
    "sampling": "",
    "short": "",
    "variants": {},
    "otherwise": {},
}
# Whether training has reached a plateau.
_END = {True: "plateau", False: "still learning", None: "too few losses to say"}


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
                "sampling": _sampling(about, labels),
                "keys": [cell.key for cell in of_flow.cells],
                "labels": {label: about["variants"].get(label, "") for label in labels},
                "likelihood": likelihood(of_flow),
                "evaluations": f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else "".join(map(str, counts)),
                "standing": _standing(scope, set(labels)),
                "pictures": list(first.values()),
            }
        )
    return found


def _sampling(about: dict[str, Any], labels: Iterable[str]) -> str:
    """What a sample of a flow costs, and of those of its labels where that is otherwise."""
    others = {label: about["otherwise"].get(label, {}).get("sampling") for label in labels}
    return "; ".join([about["sampling"], *(f"of {label} {cost}" for label, cost in others.items() if cost)])


def likelihood(scope: Scope) -> str:
    """What log p(x) is of the cells of a flow, and on which data where that differs."""

    def word(cell: CellResult) -> str:
        solved = cell.likelihood == "exact" and scope.has(cell, "solver_tolerance")
        return "exact to the solver’s tolerance" if solved else cell.likelihood

    groups = grouped(scope.cells, word)
    if len(groups) == 1:
        return next(iter(groups))
    return ", ".join(f"{found} on {listed(dict.fromkeys(cell.data for cell in of))}" for found, of in groups.items())


def differ(scope: Scope) -> Table | None:
    """What the flows are, and how good, fast and soon they are on the data set that most of them were run on."""
    data, most = max(scope.by_data.items(), key=lambda pair: len(pair[1].cells))
    flows = most.only(lambda cell: not cell.baseline)
    if len(flows.cells) < 2:
        return None
    known = words("flows")
    found, pace = most.verdict(), top.pace(most)
    order = {kind: i for i, kind in enumerate(dict.fromkeys(about["kind"] for about in known.values()))}

    def about(cell: CellResult) -> dict[str, Any]:
        of_flow = UNKNOWN | known.get(cell.flow, {})
        return of_flow | of_flow["otherwise"].get(cell.label, {})

    flows = replace(flows, cells=sorted(flows.cells, key=lambda cell: order.get(about(cell)["kind"], len(order))))

    def behind(cell: CellResult) -> Entry:
        gap = found.gaps.get(cell.key)
        if gap is None:
            return Entry(found.excluded.get(cell.key, "–"))
        text = "best" if cell.key == found.best else numbers.signed(gap.value)
        return Entry(text, gap.value, found.marks.get(cell.key, ""))

    def near(cell: CellResult) -> Entry:
        if cell.label not in pace:
            return Entry("another loss")
        seconds = pace[cell.label]
        return Entry("never", math.inf) if seconds is None else Entry(numbers.significant(seconds, 2), seconds)

    likelihoods = texts(flows, lambda cell: cell.likelihood)
    shown = [COSTS["fastest sampler"], "log_prob_samples_per_second", *COSTS.values()]
    heads = {metric: METRICS[metric].head for metric in dict.fromkeys(shown)}
    costs = {head: dict(zip(most.by_key, of_metric(most, metric), strict=True)) for metric, head in heads.items()}
    # It answers no question of the page, so nothing leads in it.
    density = heads["log_prob_samples_per_second"]
    costs[density] = {key: entry._replace(mark="") for key, entry in costs[density].items()}
    columns = {
        "kind": texts(flows, lambda cell: about(cell)["kind"] or "–"),
        "a sample takes": texts(flows, lambda cell: about(cell)["short"] or "–"),
        f"behind, {METRICS[most.quality].short.strip() or METRICS[most.quality].unit}": [
            behind(cell) for cell in flows.cells
        ],
        **{head: [column[cell.key] for cell in flows.cells] for head, column in costs.items()},
        "near after, s": [near(cell) for cell in flows.cells],
        "at the end": texts(flows, lambda cell: _END[series.settled(cell)]),
        **({"log p(x)": likelihoods} if len({entry.text for entry in likelihoods}) > 1 else {}),
    }
    unit = METRICS[most.quality].said
    return of_cells(say("differ", data=data, margin=MARGIN, unit=unit), flows, columns)


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
        if verdict.best in ours and verdict.chip in ("clear", "alone"):
            found["best"][data] = verdict.best
        elif verdict.chip == "tied" and (tied := [key for key in verdict.leading if key in ours]):
            found["tied"][data] = tied[0]
        if last in ours and flows[last].told_apart:
            found["last"][data] = last
    return found
