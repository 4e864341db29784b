"""Which differences mean something: tables of paired differences, of the noise in a number, and of ranks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev

from flowbench.report import numbers
from flowbench.report.cells import CellResult, comparable, examples, score_differences
from flowbench.report.layout import Row, Table, Value, of_cells, single
from flowbench.report.statistics import Difference, Ranking, ranking
from flowbench.report.tables import UNITS, quality_metric

ABOUT = {
    "difference": "The mean over the seeds, with Student's 95 % interval of this difference alone.",
    "p": "Of the two-sided paired t test, by Holm's correction for all pairs of what the table compares, since which "
    "of them leads was not known beforehand.",
    "between seeds": "Standard deviation of the seeds' values: training, and evaluation with it.",
    "dequantisation": "Standard error of one seed's value by the draws of the noise that it is a mean over, and by the "
    "probes, which are drawn with it, where there are any; not known where there is one draw.",
    "probes": "Standard error of one seed's value by the random probes of the divergence.",
    "test split": "Standard error of one seed's value by the test examples.",
    "mean rank": "Over the data sets; 1 is best.",
}


def differences(cells: Sequence[CellResult]) -> list[Table]:
    """What sets each cell on one data set apart from the best flow, and whether that may be chance."""
    metric = quality_metric(cells)
    shown = comparable(cells, metric)
    flows = [cell for cell in shown if not cell.baseline]
    if not flows or len(shown) < 2:
        return []
    leader = min(flows, key=lambda cell: fmean(cell.score(metric).values()))
    others = [cell for cell in shown if cell is not leader]
    found = score_differences(shown, leader, metric)
    above = " above the truth" if leader.score(metric) != leader.by_seed(metric) else ""
    leads = f"{leader.label}, of these flows the one of the lowest mean"
    caption = f"Differences in {UNITS[metric]}{above} from {leads}, paired by seed."
    if single(cells):
        caption += " One seed cannot say which of them are chance."
    else:
        if metric == "bits_per_dim":
            elsewhere = [cell.label for cell in others if examples(cell, metric) != examples(leader, metric)]
            caption += f" {_noise_of_test_split(leader, elsewhere)}"
        if chance := [cell.label for cell, one in zip(others, found, strict=True) if not one.significant]:
            caption += f" Not significant at 5 %: {', '.join(chance)}."
        else:
            caption += " All are significant at 5 %."
    if left := [cell.label for cell in cells if cell.estimate(metric) and cell not in shown]:
        caption += f" Not compared, as they are not finite or were measured on other test examples: {', '.join(left)}."
    columns = [("difference", [Value(_difference(one, len(leader.training["seeds"]))) for one in found])]
    if not single(cells):
        columns.append(("p", [Value(_p(one.p)) for one in found]))
        words = {True: "significant", False: "not significant"}
        columns.append(("at 5 %", [Value("n = 1" if one.p is None else words[one.significant]) for one in found]))
    return [of_cells(caption, others, columns, ABOUT)]


def _noise_of_test_split(leader: CellResult, elsewhere: Sequence[str]) -> str:
    """Which intervals hold it: those of the cells that were measured on other test examples than the leader."""
    text = "Intervals are of the seeds alone: the noise of the test split, one for all, is not in them"
    if not elsewhere:
        return f"{text}."
    return (
        f"{text}, but for {', '.join(elsewhere)}, which were measured on other test examples than {leader.label}: "
        "their intervals and p-values hold the noise of both."
    )


def _difference(found: Difference, seeds: int) -> str:
    """With the number of seeds where it is over fewer than were trained."""
    text = numbers.spread(found.estimate, count=False)
    return f"{text} (n = {found.estimate.n})" if found.estimate and found.estimate.n < seeds else text


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def noise(cells: Sequence[CellResult]) -> list[Table]:
    """How much of the uncertainty of bits per dim is training's, and how much evaluation's."""
    metrics = ("bits_per_dim_noise_std", "bits_per_dim_probe_std")
    if not any(metric in cell.values for cell in cells for metric in metrics):
        return []
    shown = [cell for cell in cells if any(metric in cell.values for metric in (*metrics, "noise_draws"))]
    columns = []
    for head, value in (
        ("between seeds", _between_seeds),
        ("dequantisation", _of_draws),
        ("probes", _of_probes),
        ("test split", lambda cell: cell.mean("bits_per_dim_standard_error")),
    ):
        found = [value(cell) for cell in shown]
        if any(number is not None for number in found):
            columns.append((head, [Value(numbers.significant(number, 2)) for number in found]))
    return [of_cells("Where the uncertainty of one seed's bits per dim comes from.", shown, columns, ABOUT)]


def _between_seeds(cell: CellResult) -> float | None:
    values = cell.finished("bits_per_dim")
    return stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else None


def _of_draws(cell: CellResult) -> float | None:
    """Of the mean over the draws of the noise, from the spread of a single draw, which one draw does not have."""
    spread, draws = cell.mean("bits_per_dim_noise_std"), cell.mean("noise_draws")
    return spread / math.sqrt(draws) if spread is not None and draws else None


def _of_probes(cell: CellResult) -> float | None:
    """Of the mean over test examples and probes, from the spread of a single probe's estimate of one example.

    Each draw of the dequantisation noise has probes of its own.
    """
    spread, probes = cell.mean("bits_per_dim_probe_std"), cell.mean("probes")
    examples, draws = cell.mean("test_examples") or cell.params["data"].get("test"), cell.mean("noise_draws") or 1
    return spread / math.sqrt(probes * examples * draws) if spread is not None and probes and examples else None


def ranks(cells: Sequence[CellResult]) -> tuple[Ranking, Table] | None:
    """The flows that stand on several data sets, by their mean rank; ``None`` if there are not two of them."""
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for data in dict.fromkeys(cell.data for cell in cells):
        of_data = [cell for cell in cells if cell.data == data]
        metric = quality_metric(of_data)
        for cell in comparable(of_data, metric):
            if not cell.baseline:
                scores[data][cell.label] = fmean(cell.score(metric).values())
    found = ranking(scores)
    if found is None:
        return None
    caption = (
        "Ranks by bits per dim, above the truth where that is known, or by the KL to the target, where all of these "
        "flows stand; equals share a rank."
    )
    difference = f"{found.critical_difference:.2f}"
    if found.conclusive:
        caption += f" Mean ranks less than {difference} apart are not told apart at 5 % (Nemenyi's test)"
        caption += "." if found.apart else ", and none are further."
    else:
        caption += (
            f" {len(found.ranks)} data sets are too few to tell any apart: at 5 %, mean ranks would have to "
            f"differ by {difference} (Nemenyi's test), and the most they can differ by is {len(found.means) - 1}."
        )
    table = Table(caption, [*found.ranks, "mean rank"], first="flow", titles={"mean rank": ABOUT["mean rank"]})
    for name, mean in found.means.items():
        entries = [*(of_data[name] for of_data in found.ranks.values())]
        table.rows.append(Row(name, [Value(f"{rank:g}") for rank in entries] + [Value(f"{mean:.2f}")]))
    return found, table
