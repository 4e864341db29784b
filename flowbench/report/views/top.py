"""What a reader sees first: which flow for what, and how far every flow is behind the best everywhere."""

from __future__ import annotations

import math
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement.answers import COSTS, Answer, answers, overall
from flowbench.report.judgement.verdict import Verdict
from flowbench.report.views import numbers, series
from flowbench.report.views.scope import Scope
from flowbench.report.views.text import say

# What the heat map can show beside the gap to the best density.
SWITCH = ("energy_distance", "sliced_wasserstein", "wasserstein_2", *COSTS.values())
QUESTIONS = ("Which density is best?", "Which good flow samples fastest?", "Which good flow trains fastest?")
# Of the colours behind the best.
_LEVELS = 4


def headline(scope: Scope) -> list[str]:
    """Version, commit, host, device and seeds."""
    cells = scope.cells
    try:
        release = version("normalizing-flow-benchmark")
    except PackageNotFoundError:  # run from its source
        release = "unreleased"
    commits = sorted({(cell.record.training.timings.git_commit or "unknown")[:7] for cell in cells})
    hosts = sorted({host for cell in cells for host in cell.hosts})
    seeds = sorted({len(cell.seeds) for cell in cells})
    return [
        f"flowbench {release}",
        f"commit {commits[0]}" if len(commits) == 1 else f"{len(commits)} commits",
        hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts",
        say("seeds", low=seeds[0], high=seeds[-1]),
    ]


def learning(scope: Scope) -> dict[str, str]:
    """How many trainings reached a plateau, and what follows for the rankings."""
    settled = [series.settled(cell) for cell in scope.cells if not cell.baseline]
    known = [one for one in settled if one is not None]
    differing = [data for data, of_data in scope.by_data.items() if of_data.several_budgets]
    facts = {"reached": sum(known), "known": len(known)}
    return {"plateau": say("plateau", **facts), "budgets": say("budgets", **facts, differing=differing)}


def three_answers(scope: Scope) -> list[dict[str, Any]]:
    """By data set the three answers, in the order of `QUESTIONS`, each with its score and how sure it is."""
    found = []
    if len(scope.by_data) > 1:
        everywhere = overall(scope.frame, scope.cells, scope.certificates)
        if any(answer.chip != "none" for answer in everywhere):
            found.append({"data": "", "answers": [_everywhere(answer) for answer in everywhere]})
    for data, of_data in scope.by_data.items():
        row = []
        for answer in answers(of_data.frame, of_data.cells, of_data.certificates):
            cell = of_data.by_key[answer.cell] if answer.cell else None
            score = _short(of_data, cell, COSTS.get(answer.question, of_data.quality)) if cell else ""
            about = {"label": cell.label if cell else None, "key": answer.cell, "score": score, "chip": answer.chip}
            tied = of_data.labels(answer.tied)
            row.append(about | {"tied": tied, "how_sure": _how_sure(answer, tied, of_data), "undecided": ""})
        found.append({"data": data, "answers": row})
    return found


def _everywhere(answer: Answer) -> dict[str, Any]:
    """An answer over several data sets."""
    undecided = ""
    if answer.cell is None and answer.chip != "none":
        undecided = say("undecided", chip=answer.chip, data_sets=answer.data_sets)
    about = {"label": answer.cell, "key": "", "score": "", "chip": answer.chip, "tied": answer.tied}
    return about | {"how_sure": _how_sure(answer, answer.tied, None), "undecided": undecided}


def _how_sure(answer: Answer, tied: list[str], scope: Scope | None) -> str:
    """The chip in words; ``scope`` holds the cells of the data set, where it is one."""
    found = scope.verdict() if scope else None
    uncertified = any(scope.certificates[key].failed for key in found.excluded) if scope and found else False
    only_good = answer.margin is not None and not (found and found.chip == "alone")
    return say("how_sure", chip=answer.chip, tied=tied, only_good=only_good, uncertified=uncertified)


def _short(scope: Scope, cell: CellResult, metric: str) -> str:
    """A value with its unit, in a few characters."""
    value, about = scope.value(cell, metric), METRICS[metric]
    return f"{numbers.rate(value) if about.form == 'rate' else numbers.significant(value, 3)}{about.short}"


def heat(suite: Suite, scope: Scope) -> list[dict[str, Any]]:
    """A map of flows and data sets for each metric that readers can switch to, that of quality first."""
    labels = {suite.label(key): None for key in suite.cells} | {cell.label: None for cell in scope.cells}
    kinds = {cell.label: cell.baseline for cell in scope.cells}
    planned = {(cell.data, suite.label(key)): key for key, cell in suite.cells.items()}
    columns = list(dict.fromkeys([*(cell.data for cell in suite.cells.values()), *scope.by_data]))
    maps = []
    for metric in ("", *(name for name in SWITCH if scope.measured(name))):
        fields: dict[tuple[str, str], dict[str, str]] = {}
        for data in columns:
            of_data = scope.by_data.get(data)
            fields |= _fields(of_data, metric) if of_data else {}
        for place in planned.keys() - fields.keys():
            fields[place] = {"text": "not run", "class": "bad", "key": "", "about": f"{planned[place]} was not run"}
        rows = [
            (label, [fields.get((data, label)) for data in columns])
            for label in sorted(labels, key=lambda label: kinds.get(label, False))
        ]
        name = "gap to the best density" if not metric else METRICS[metric].head
        about = say("gap", units=sorted({METRICS[of.quality].unit for of in scope.by_data.values()}))
        maps.append(
            {
                "id": metric or "gap",
                "name": name,
                "about": METRICS[metric].about if metric else about,
                "columns": columns,
                "rows": rows,
            }
        )
    return maps


def _fields(scope: Scope, metric: str) -> dict[tuple[str, str], dict[str, str]]:
    """The fields of one data set by data set and label; ``metric`` is empty for the gap in quality."""
    wanted = metric or scope.quality
    found = scope.verdict(wanted)
    levels = _levels(found)
    excluded = scope.verdict().excluded
    fields = {}
    for cell in scope.cells:
        gap = found.gaps.get(cell.key)
        if gap is None and scope.value(cell, wanted) is None and not (cell.diverged or cell.failed):
            text, level = "–", "none"
        elif gap is None or not math.isfinite(gap.value):
            text, level = ("lost" if cell.diverged or cell.failed else "∞"), "bad"
        else:
            # A baseline is compared, and never looks like the best.
            text, level = _short(scope, cell, wanted), f"g{max(levels[cell.key], int(cell.baseline))}"
            if not metric and cell.key == found.best:
                text = f"score {numbers.significant(scope.value(cell, wanted), 3)}"
            elif not metric:
                text = f"+{numbers.significant(gap.value, 2)}".replace("+−", "−")
        reasons = [scope.note(cell)] if scope.note(cell) else []
        if cell.key in excluded:
            level += " bad"
            reasons = [excluded[cell.key]]
        elif cell.key in found.leading and found.chip in ("clear", "tied"):
            reasons.append("best" if cell.key == found.best else "tied with the best")
        about = ", ".join([f"{cell.label} on {cell.data}: {text}", *reasons])
        fields[cell.data, cell.label] = {"text": text, "class": level, "key": cell.key, "about": about}
    return fields


def _levels(found: Verdict) -> dict[str, int]:
    """How dark each field is: 0 of the best and what is tied with it, then by the logarithm of the gap."""
    sizes = {key: gap.value for key, gap in found.gaps.items() if key not in found.leading and gap.value > 0}
    finite = [math.log(size) for size in sizes.values() if math.isfinite(size)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def level(key: str) -> int:
        if key not in sizes:
            return 0
        share = (math.log(sizes[key]) - low) / (high - low) if high > low else 0.5
        return 1 + min(_LEVELS - 1, int(share * _LEVELS))

    return {key: level(key) for key in found.gaps}
