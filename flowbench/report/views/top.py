"""What a reader sees first: which flow for what, and how far every flow is behind the best everywhere."""

from __future__ import annotations

import math
from typing import Any

from flowbench.config import Suite
from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement.answers import COSTS, MARGIN, Answer, answers, overall
from flowbench.report.judgement.verdict import Verdict
from flowbench.report.views import numbers, series
from flowbench.report.views.scope import Scope, by_fact
from flowbench.report.views.text import say

# What the heat map can show beside the gap to the best density.
SWITCH = ("energy_distance", "sliced_wasserstein", "wasserstein_2", *COSTS.values())
QUESTIONS = ("Which density is best?", "Which good flow samples fastest?", "Which good flow trains fastest?")
# Fewer flows on a data set than this are no answer to which flow to use.
FEW_FLOWS = 3
# Of the colours behind the best.
_LEVELS = 4
# What a map shows of a cell without the metric. A flow that has it nowhere needs no row.
_UNSEEN = {"text": "–"}
# Over several data sets, one flow that has nothing to compare with is no answer either.
_NO_ANSWER = ("none", "too few data sets", "alone")


def learning(scope: Scope) -> dict[str, str]:
    """How many trainings reached a plateau, and what follows for the rankings."""
    settled = [series.settled(cell) for cell in scope.cells if not cell.baseline]
    known = [one for one in settled if one is not None]
    differing = [data for data, of_data in scope.by_data.items() if of_data.several_budgets]
    facts = {"reached": sum(known), "known": len(known)}
    budgets = say("budgets", **facts, trained=len(settled), differing=differing)
    return {"plateau": say("plateau", **facts), "budgets": budgets}


def pace(scope: Scope) -> dict[str, float | None]:
    """`series.pace` in seconds of training."""
    steps, found = series.pace(scope), {}
    for cell in scope.cells:
        if cell.label in steps:
            step, taken = steps[cell.label], scope.value(cell, "train_seconds") or 0.0
            found[cell.label] = None if step is None else taken * step / float(series.band(cell).index[-1])
    return found


def learnt(scope: Scope) -> str:
    """How the flows on one data set learn, in words; empty where none has a curve."""
    trained = [cell for cell in scope.cells if not cell.baseline and len(series.band(cell))]
    steps = series.pace(scope)
    seconds = {label: taken for label, taken in pace(scope).items() if taken is not None}
    order = sorted(seconds, key=seconds.__getitem__) if len(steps) > 1 else []

    def at(label: str) -> dict[str, Any]:
        return {"name": label, "steps": int(steps[label] or 0), "seconds": numbers.significant(seconds[label])}

    reached = by_fact(trained, series.settled)
    return say(
        "learnt",
        first=at(order[0]) if order else None,
        last=at(order[-1]) if len(order) > 1 else None,
        never=[label for label, step in steps.items() if step is None],
        apart=[cell.label for cell in trained if cell.label not in steps],
        unit=next((unit for unit in series.curves(scope)["unit"] if unit in series.LIKELIHOODS), ""),
        margin=MARGIN,
        learning=reached.get(False, []),
        settled=reached.get(True, []),
        unknown=reached.get(None, []),
    )


def three_answers(scope: Scope) -> list[dict[str, Any]]:
    """By data set the three answers, in the order of `QUESTIONS`, each with its score and how sure it is."""
    rows = {data: answers(of.frame, of.cells, of.certificates) for data, of in sorted(scope.by_data.items(), key=_few)}
    found = [
        {
            "data": data,
            "few": _few((data, scope.by_data[data])),
            "answers": [_shown(one, scope.by_data[data]) for one in row],
        }
        for data, row in rows.items()
    ]
    everywhere = overall(scope.frame, scope.cells, scope.certificates)
    if len(rows) > 1 and any(answer.chip not in _NO_ANSWER for answer in everywhere):
        found.append({"data": "", "few": False, "answers": [_shown(answer) for answer in everywhere]})
    return found


def _few(of_data: tuple[str, Scope]) -> bool:
    """Whether a data set leaves little to choose: such data sets come last."""
    return sum(not cell.baseline for cell in of_data[1].cells) < FEW_FLOWS


def _shown(answer: Answer, scope: Scope | None = None) -> dict[str, Any]:
    """An answer in words; ``scope`` holds the cells of its data set, where it is about one."""
    label, key, score, tied = answer.cell, "", "", answer.tied
    uncertified, only_good, outdone = False, answer.question in COSTS, ""
    if scope:
        density, tied = scope.verdict(), scope.labels(answer.tied)
        uncertified = any(scope.certificates[name].failed for name in density.excluded)
        only_good &= density.chip != "alone"
        if answer.cell:
            cell = scope.by_key[answer.cell]
            label, key = cell.label, cell.key
            score = _short(scope, cell, COSTS.get(answer.question, scope.quality))
            if answer.question not in COSTS and scope.better_baselines:
                outdone = say("outdone", baseline=scope.better_baselines[0])
    return {
        "label": label,
        "key": key,
        "score": score,
        "chip": answer.chip,
        "how_sure": say("how_sure", chip=answer.chip, tied=tied, only_good=only_good, uncertified=uncertified),
        "outdone": outdone,
        "undecided": ""
        if label
        else say("undecided", chip=answer.chip, data_sets=answer.data_sets, everywhere=scope is None),
    }


def _short(scope: Scope, cell: CellResult, metric: str) -> str:
    """A value with its unit, in a few characters."""
    value, about = scope.value(cell, metric), METRICS[metric]
    return f"{numbers.rate(value) if about.form == 'rate' else numbers.significant(value, 3)}{about.short}"


def heat(suite: Suite, scope: Scope) -> list[dict[str, Any]]:
    """A map of flows and data sets for each metric that readers can switch to, that of quality first."""
    baselines = {cell.label for cell in scope.cells if cell.baseline}
    cards = {cell.flow for cell in scope.cells}
    flows = {suite.label(key): cell.flow for key, cell in suite.cells.items()}
    labels = sorted(flows, key=lambda label: label in baselines)
    columns = list(dict.fromkeys(cell.data for cell in suite.cells.values()))
    missing = {
        (cell.data, suite.label(key)): {"text": "not run", "class": "bad", "key": "", "about": f"{key} was not run"}
        for key, cell in suite.cells.items()
        if key not in scope.by_key
    }
    units = sorted({METRICS[of.quality].unit for of in scope.by_data.values()})
    heads = [("", "gap", "gap to the best density", say("gap", units=units))]
    heads += [(name, name, METRICS[name].head, METRICS[name].about) for name in SWITCH if scope.measured(name)]
    maps = []
    for metric, anchor, name, about in heads:
        fields = dict(missing)
        for of_data in scope.by_data.values():
            fields |= _fields(of_data, metric)
        rows = [
            {
                "label": label,
                "flow": flows[label] if flows[label] in cards else "",
                "baseline": label in baselines,
                "fields": [fields.get((data, label)) for data in columns],
            }
            for label in labels
            if any(fields.get((data, label), _UNSEEN)["text"] != _UNSEEN["text"] for data in columns)
        ]
        maps.append({"id": anchor, "name": name, "about": about, "columns": columns, "rows": rows})
    return maps


def leading(scope: Scope) -> str:
    """What the lightest fields of the map are."""
    chips = [of.verdict().chip for of in scope.by_data.values()]
    most = max((len(cell.seeds) for cell in scope.cells), default=0)
    return say("leading", few=chips.count("too few seeds"), of=len(chips), seeds=most)


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
            text, level = _UNSEEN["text"], "none"
        elif gap is None and metric in COSTS.values() and not (cell.diverged or cell.failed):
            text, level = _short(scope, cell, wanted), "plain"
        elif gap is None or not math.isfinite(gap.value):
            text, level = ("lost" if cell.diverged or cell.failed else "∞"), "bad"
        else:
            # A baseline is compared, and never looks like a flow.
            text, level = _short(scope, cell, wanted), "plain" if cell.baseline else f"g{levels[cell.key]}"
            if not metric and cell.key == found.best:
                text = f"best {numbers.significant(scope.value(cell, wanted), 3)}"
            elif not metric:
                text = numbers.signed(gap.value)
        reasons = [scope.note(cell)] if scope.note(cell) else []
        if gap is None and metric in COSTS.values() and not cell.baseline:
            reasons.append("its density is not good")
        if cell.key in excluded:
            level += " bad"
            reasons = [excluded[cell.key]]
        elif cell.key in found.marks:
            reasons.append("best" if cell.key == found.best else "tied with the best")
        elif cell.key == found.best and found.chip == "too few seeds":
            reasons.append("best mean, but too few seeds to tell it from others")
        about = ", ".join([f"{cell.label} on {cell.data}: {text}", *reasons])
        fields[cell.data, cell.label] = {"text": text, "class": level, "key": cell.key, "about": about}
    return fields


def _levels(found: Verdict) -> dict[str, int]:
    """How dark each field is: 0 of the best and what is tied with it, then by the logarithm of the gap.

    Where there are too few seeds to tell, nothing is tied, and the best mean alone is as light as that.
    """
    leading = [found.best] if found.chip == "too few seeds" else found.leading
    sizes = {key: gap.value for key, gap in found.gaps.items() if key not in leading and gap.value > 0}
    finite = [math.log(size) for size in sizes.values() if math.isfinite(size)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def level(key: str) -> int:
        if key not in sizes:
            return 0
        share = (math.log(sizes[key]) - low) / (high - low) if high > low else 0.5
        return 1 + min(_LEVELS - 1, int(share * _LEVELS))

    return {key: level(key) for key in found.gaps}
