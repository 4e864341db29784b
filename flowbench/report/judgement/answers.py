"""Three answers for a reader in a hurry: the best density, the fastest sampler and the cheapest training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from flowbench.report.frame import CellResult
from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.comparisons import ranking_metric
from flowbench.report.judgement.ranking import Ranking, flow_ranking
from flowbench.report.judgement.verdict import Chip, Verdict, verdict, verdicts

# How far behind the best density a flow may be and still answer a question of cost: in bits per dim, or for an energy
# in nats of KL. In two dimensions 0.05 bits per dim are 0.07 nats.
MARGIN = 0.05
Question = Literal["best density", "fastest sampler", "cheapest training"]
# What answers the questions of cost.
COSTS: dict[Question, str] = {
    "fastest sampler": "sample_samples_per_second",
    "cheapest training": "train_seconds",
}


@dataclass(frozen=True)
class Answer:
    """One of the three.

    Attributes:
        question: what is answered.
        cell: the key of the certified flow that is the answer; ``None`` where none qualifies. Over several data sets it
            is a label, and ``None`` too where no flow stands out: all are tied, or the data sets are too few.
        chip: how sure that is, as of a `Verdict`.
        tied: those that cannot be told from it; all flows where none stands out.
        data_sets: over how many the answer is; it is 0 for the answers of one.
    """

    question: Question
    cell: str | None
    chip: Chip | Literal["too few data sets"]
    tied: list[str] = field(default_factory=list)
    data_sets: int = 0


def answers(frame: pd.DataFrame, cells: Sequence[CellResult], certificates: Mapping[str, Certificate]) -> list[Answer]:
    """The three answers for the cells of one data set."""
    density = verdict(frame, cells, ranking_metric(frame), certificates)
    found = [Answer("best density", density.best, density.chip, density.tied)]
    for question, metric in COSTS.items():
        of = cost_verdict(frame, cells, metric, density, certificates)
        found.append(Answer(question, of.best, of.chip, of.tied))
    return found


def cost_verdict(
    frame: pd.DataFrame,
    cells: Sequence[CellResult],
    metric: str,
    density: Verdict,
    certificates: Mapping[str, Certificate],
) -> Verdict:
    """What a metric of `COSTS` says of the cells of one data set: of the good ones alone, on the best one's hosts."""
    good = _comparable_costs(_good(frame, density), cells, density.best)
    return verdict(frame[frame["cell"].isin(good)], cells, metric, certificates)


def _good(frame: pd.DataFrame, density: Verdict) -> set[str]:
    """The flows within the margin of the best density, beyond doubt where there are seeds enough to doubt.

    A flow that is told from the best must have its whole interval within the margin.
    """
    baselines = set(frame.loc[frame["kind"] == "baseline", "cell"])
    near = {
        cell for cell, gap in density.gaps.items() if gap.value <= MARGIN and (not gap.told_apart or gap.high <= MARGIN)
    }
    return near - baselines - density.excluded.keys()


def _comparable_costs(good: set[str], cells: Sequence[CellResult], best: str | None) -> set[str]:
    """Those of some cells whose costs were measured on the hosts of the best: costs of other hosts say nothing."""
    hosts = {cell.key: cell.hosts for cell in cells}
    return {key for key in good if hosts.get(key) == hosts.get(best or "")}


def overall(frame: pd.DataFrame, cells: Sequence[CellResult], certificates: Mapping[str, Certificate]) -> list[Answer]:
    """The three answers for the flows that stand on several data sets, by their labels and mean ranks.

    A flow answers a question of cost if it is within the margin on each of these data sets.
    """
    densities = verdicts(frame, cells, certificates)
    ranking = flow_ranking(frame, densities)
    found = [_of_ranks("best density", ranking)]
    shared = list(ranking.ranks.index) if ranking else []
    parts = {data: frame[frame["data"] == data] for data in shared}
    labels = frame.drop_duplicates("cell").set_index("cell")["label"]
    good = [
        set(labels[list(_comparable_costs(_good(part, densities[data]), cells, densities[data].best))])
        for data, part in parts.items()
    ]
    everywhere = set.intersection(*good) if good else set()
    for question, metric in COSTS.items():
        costs = {
            data: verdict(part[part["label"].isin(everywhere)], cells, metric, certificates)
            for data, part in parts.items()
        }
        if len(everywhere) == 1:
            found.append(Answer(question, next(iter(everywhere)), "alone", [], len(shared)))
        else:
            found.append(_of_ranks(question, flow_ranking(frame, costs)))
    return found


def _of_ranks(question: Question, ranking: Ranking | None) -> Answer:
    if ranking is None:
        return Answer(question, None, "none")
    data_sets = len(ranking.ranks)
    if not ranking.conclusive:
        return Answer(question, None, "too few data sets", list(ranking.means), data_sets)
    (best, lowest), *others = ranking.means.items()
    tied = [label for label, mean in others if mean - lowest < ranking.critical_difference]
    if len(tied) == len(others):
        return Answer(question, None, "tied", list(ranking.means), data_sets)
    return Answer(question, best, "tied" if tied else "clear", tied, data_sets)
