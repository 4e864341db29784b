"""The tables of a report, as text that a template only lays out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from flowbench.metrics import METRICS
from flowbench.report import families, numbers
from flowbench.report.cells import CellResult
from flowbench.report.layout import (
    Column,
    Row,
    Table,
    Value,
    meanings,
    measured,
    of_cells,
    ranked,
    single,
    texts,
)
from flowbench.report.published import Published, beside, context
from flowbench.report.published import metrics as published_metrics
from flowbench.report.verdicts import note

# Column, metric and how it is written, by what the table says.
QUALITY = {
    "bits_per_dim": "bits per dim",
    "kl_to_target": "KL to target, nats",
    "sliced_wasserstein": "sliced Wasserstein",
    "energy_distance": "energy distance",
    "wasserstein_2": "2-Wasserstein",
    "minor_mode_share": "minor mode",
}
# What flows are ranked by, in a sentence.
UNITS = {"bits_per_dim": "bits per dim", "kl_to_target": "nats of KL to the target"}
ROUND_TRIPS = {
    "invertibility_error_max": "data, max",
    "invertibility_error_p99": "data, p99",
    "invertibility_error_mean": "data, mean",
    "invertibility_error_max_noise": "noise, max",
    "latent_invertibility_error_max": "latent, max",
    "non_finite_share": "not finite",
}
DOUBLE = {double: head for metric, head in ROUND_TRIPS.items() if (double := f"{metric}_float64") in METRICS}
LOG_DETERMINANTS = {"logdet_error_max": "log-det., max", "divergence_error_max": "divergence, max"}
COSTS = {
    "train_seconds": "training, s",
    "train_samples_per_second": "training, 1/s",
    "log_prob_samples_per_second": "density, 1/s",
    "sample_samples_per_second": "sampling, 1/s",
    "peak_memory_mb": "peak memory, MB",
}
# What is computed from several metrics, or from none.
ABOUT = {
    "host": "Of the training and, after it, of the evaluation where that ran on another.",
    "likelihood": "Whether log p(x) is exact, an estimate or a bound; none where there is no density of data.",
    "above truth": "Bits per dim less those of the true density on the same test examples, which estimates "
    "KL(truth ‖ model).",
    "published": "A paper's bits per dim in the same setting, with a budget of its own.",
    "steps × batch": "Optimiser steps, and examples in each.",
    "epochs": "Passes over the training split.",
    "round trip": "The largest error of any round trip in float32: of test data, prior samples or noise.",
    "verdict": "Whether round trips of test data, log-determinants in float64, and densities are as accurate as they "
    "must be.",
}
_FEW = (
    "energy distance of few evaluations",
    "energy_distance_METHOD_N",
    "data units",
    "Energy distance between test data and samples that took N evaluations of a continuous flow's field, by Euler's "
    "method or by the midpoint method; energy_distance_adaptive by the adaptive solver at its tolerance. All are from "
    "the same latents. And energy_distance_data, the mean of other test data, as many.",
)
_LENGTHS = (
    "round-trip error, L2",
    "l2_error_START",
    "data or latent units",
    "Mean over examples of |x - decode(encode(x))|₂ in float32, of those that are finite, with START one of data, "
    "samples, noise and, for |z - encode(decode(z))|₂, latents_K_std: latents of K times the prior's deviation.",
)
_LOST = ("share lost", "lost_share_START", "", "Share of these round trips that are not finite.")
# Metrics by the beginning of their names.
TOGETHER = {"energy_distance_": _FEW, "l2_error_": _LENGTHS, "lost_share_": _LOST}


def quality_metric(cells: Sequence[CellResult]) -> str:
    """What the flows on one data set are ranked by."""
    return "kl_to_target" if any("kl_to_target" in cell.values for cell in cells) else "bits_per_dim"


def quality(cells: Sequence[CellResult]) -> Table:
    """How good each flow is on one data set: means over seeds with intervals, the leaders marked.

    Of images, whose table is the whole of what many readers want, with the budget and the worst round trip.
    """
    lowest = floor(cells)
    columns: list[Column] = []
    if not _exact(cells):
        columns.append(texts("likelihood", cells, lambda cell: cell.likelihood))
    for metric, head in QUALITY.items():
        if not measured(cells, metric):
            continue
        columns.append(ranked(head, cells, metric))
        if metric == "bits_per_dim" and lowest is not None:
            excess = [numbers.spread(cell.excess, count=not single(cells)) for cell in cells]
            columns.append(("above truth", [Value(text) for text in excess]))
        if metric == "bits_per_dim" and any(beside(cell) for cell in cells):
            columns.append(texts("published", cells, _nearest))
    columns.append(texts("parameters", cells, lambda cell: f"{cell.training['parameters']:,}"))
    if len({cell.budget for cell in cells if not cell.baseline}) > 1:
        columns += _budgets(cells)
    columns.append(texts(COSTS["train_seconds"], cells, partial(_cost, "train_seconds")))
    if any(cell.images for cell in cells):
        columns.append(texts("sampling, 1/s", cells, partial(_cost, "sample_samples_per_second")))
        columns.append(texts("round trip", cells, _worst_round_trip))
    table = of_cells(_caption(cells), cells, columns, ABOUT | meanings(QUALITY | COSTS | {"parameters": "parameters"}))
    if lowest is not None:
        known = [("entropy floor", lowest)]
        for count, bits in _truth(cells).items():
            known.append((f"truth, {count} test examples" if count else "truth, test split", bits))
        for label, bits in known:
            text = {"bits per dim": f"{bits:.4f}".replace("-", "−")}
            table.rows.append(Row(label, [Value(text.get(head, "")) for head in table.columns], "", True))
    return table


def _nearest(cell: CellResult) -> str:
    """The published value to compare with, if there is one."""
    return next((f"{value.value:.2f}" for value in beside(cell)), "")


def _budgets(cells: Sequence[CellResult]) -> list[Column]:
    """What each cell was given to train with."""
    columns = [texts("steps × batch", cells, _size)]
    if any(cell.epochs for cell in cells):
        columns.append(texts("epochs", cells, lambda c: numbers.significant(c.epochs, 2) if c.epochs else ""))
    if len({cell.place for cell in cells}) > 1:
        columns.append(texts("on", cells, lambda cell: cell.place))
    return columns


def _size(cell: CellResult) -> str:
    budget = cell.params["budget"]
    return "" if cell.baseline else f"{budget['steps']:,} × {budget['batch_size']:,}"


def _worst_round_trip(cell: CellResult) -> str:
    """Of data, prior samples and noise in float32."""
    errors = [cell.worst(metric) for metric in ROUND_TRIPS if "error_max" in metric]
    return numbers.power(max((e for e in errors if e is not None), default=None))


def published(cells: Sequence[CellResult]) -> list[Table]:
    """The published values on one data set: beside ours where the settings agree, and the others as context."""
    return [table for metric in published_metrics(cells[0].data) for table in _published(cells, metric)]


def _published(cells: Sequence[CellResult], metric: str) -> list[Table]:
    tables, name = [], (QUALITY | families.HEADS)[metric]
    if pairs := [(cell, value) for cell in cells for value in beside(cell, metric)]:
        caption = f"{name[0].upper()}{name[1:]} beside published ones: the settings agree, the budgets need not."
        columns = ["ours", "published", "our budget", "their budget", "setting", "published as"]
        table = Table(caption, columns, first="flow", words=True)
        for cell, value in pairs:
            _, (ours,) = ranked(name, [cell], metric)
            budget = f"{cell.budget}; {numbers.significant(cell.mean('train_seconds'))} s on {cell.place}"
            source = f"{value.model}, {_source(value)}"
            entries = [ours.text, value.text, budget, value.budget, value.setting, source]
            table.rows.append(Row(cell.label, [Value(text) for text in entries], note(cell)))
        tables.append(table)
    if others := context(cells, metric):
        columns = [name, "what differs", "setting", "budget", "published in"]
        caption = f"{name[0].upper()}{name[1:]} as published in other settings: context, and no comparison."
        table = Table(caption, columns, first="model", words=True)
        for value, differences in others:
            entries = [value.text, "; ".join(differences), value.setting, value.budget, _source(value)]
            table.rows.append(Row(value.model, [Value(text) for text in entries]))
        tables.append(table)
    return tables


def _source(value: Published) -> str:
    derived = f"; {value.derived}" if value.derived else ""
    return f"{value.paper} {value.year}, arXiv {value.arxiv}{derived}"


def moments(cells: Sequence[CellResult]) -> list[Table]:
    """What the flows learnt of the moments, above the true ones."""
    cells = [cell for cell in cells if "learnt_mean_error" in cell.values]
    if not cells:
        return []
    learnt = sorted(name for name in cells[0].values if name.startswith(("learnt_mean_x", "learnt_std_x")))
    heads = {name: name.removeprefix("learnt_").replace("_x", " of x") for name in learnt}
    heads |= {f"learnt_{moment}_error": f"error of the {moment}, in true std" for moment in ("mean", "std")}
    columns = [ranked(head, cells, metric) for metric, head in heads.items()]
    table = of_cells("Moments of the learnt densities, and the true ones.", cells, columns, meanings(heads))
    truth = [cells[0].mean(name.replace("learnt", "true")) for name in heads]
    table.rows.append(Row("truth", [Value("" if m is None else numbers.significant(m)) for m in truth], "", True))
    return [table]


def costs(cells: Sequence[CellResult], hosts: dict[str, str]) -> Table:
    """What each flow costs; where there are several hosts, the letter says on which."""
    caption = ""
    if not single(cells):
        caption = "Means over the seeds, and of the training time the shortest and the longest."
        if any(cell.device == "cpu" for cell in cells):
            caption += " On a CPU, times are what the computing thread took, without its waiting for other processes."
    columns = [texts(head, cells, partial(_cost, metric)) for metric, head in COSTS.items() if measured(cells, metric)]
    if len(hosts) > 1:
        columns.append(texts("host", cells, lambda cell: ", ".join(hosts[host] for host in cell.hosts)))
    return of_cells(caption, cells, columns, ABOUT | meanings(COSTS), "cell")


def glossary(
    cells: Sequence[CellResult], shown: Sequence[Table], about: Mapping[str, str]
) -> list[tuple[str, str, str, str]]:
    """Every metric and every derived column of the tables: its head, its name, its unit and its meaning.

    ``about`` explains the columns that are made elsewhere.

    Metrics that differ in a number or a start alone are one entry together.
    """
    heads = families.HEADS | QUALITY | ROUND_TRIPS | LOG_DETERMINANTS | COSTS
    heads |= {metric: f"{head} (float64)" for metric, head in DOUBLE.items()}
    entries, families_told = [], set()
    for name, metric in METRICS.items():
        if not measured(cells, name):
            continue
        together = next((entry for start, entry in TOGETHER.items() if name.startswith(start)), None)
        if together is None:
            entries.append((heads.get(name, ""), name, metric.unit, metric.about))
        elif together not in families_told:
            families_told.add(together)
            entries.append(together)
    columns = {column for table in shown for column in table.columns}
    derived = ABOUT | families.DERIVED | dict(about)
    return entries + [(head, "", "", meaning) for head, meaning in derived.items() if head in columns]


def floor(cells: Sequence[CellResult]) -> float | None:
    """Bits per dim of the true density, where it is known."""
    return next((e.mean for cell in cells if (e := cell.estimate("entropy_floor_bits_per_dim"))), None)


def _truth(cells: Sequence[CellResult]) -> dict[str, float]:
    """Bits per dim of the true density by the number of test examples, which is empty where these are all."""
    of_parts = {}
    for cell in cells:
        if (bits := cell.mean("true_bits_per_dim")) is not None:
            part = cell.mean("test_examples")
            of_parts[f"{int(part):,}" if part else ""] = bits
    return of_parts


def _cost(metric: str, cell: CellResult) -> str:
    """A mean over the seeds, but of times, which differ by what else the machine did, their range."""
    if metric == "train_seconds":
        return numbers.span(cell.finished(metric))
    return (numbers.significant if metric == "peak_memory_mb" else numbers.rate)(cell.mean(metric))


def _exact(cells: Sequence[CellResult]) -> bool:
    return all(cell.likelihood == "exact" for cell in cells)


def _caption(cells: Sequence[CellResult]) -> str:
    """What ± means, as ``Mean ± 95 % interval over 3 seeds``, and how bits per dim are taken."""
    noise = "; likelihoods are exact" if _exact(cells) else ""
    if any(cell.continuous and cell.likelihood == "exact" for cell in cells):
        noise += ", of continuous flows up to their solver" if noise else "; of continuous flows exact up to the solver"
    if draws := sorted({int(mean) for cell in cells if (mean := cell.mean("noise_draws"))}):
        plural = "s" if draws != [1] else ""
        noise += f"; bits per dim: {' or '.join(map(str, draws))} draw{plural} of the dequantisation noise"
        if varied := [std for cell in cells if (std := cell.worst("bits_per_dim_noise_std")) is not None]:
            noise += f", between which they vary by {numbers.at_most(max(varied))} at most (standard deviation)"
    noise += _logits(cells) + _parts_of_test(cells) + _annealed(cells)
    if single(cells):
        known = any("bits_per_dim_standard_error" in cell.values for cell in cells)
        return f"One seed each (n = 1){'; ± is one standard error over the test examples' if known else ''}{noise}."
    counts = defaultdict(list)
    for cell in cells:
        counts[len(cell.training["seeds"])].append(cell.label)
    if len(counts) == 1:
        return f"Mean ± 95 % interval over {next(iter(counts))} seeds{noise}."
    by_count = "; ".join(f"{n} for {', '.join(labels)}" for n, labels in sorted(counts.items()))
    return f"Mean ± 95 % interval; seeds: {by_count}{noise}."


def _logits(cells: Sequence[CellResult]) -> str:
    """Which transform of integer data each flow begins with, where they differ: densities are in data space anyway."""
    flows = defaultdict(list)
    for cell in cells:
        if cell.likelihood != "none" and cell.values.get("noise_draws"):
            flows[cell.params["flow"].get("logit")].append(cell.label)
    if len(flows) < 2:
        return ""
    words = {alpha: f"a logit with α = {alpha:g}" if alpha else "no logit" for alpha in flows}
    each = [f"{words[alpha]} for {', '.join(flows[alpha])}" for alpha in sorted(flows, key=lambda alpha: alpha or 0)]
    return f"; what pixels pass first differs: {'; '.join(each)}"


def _annealed(cells: Sequence[CellResult]) -> str:
    """How much of an energy was learnt, where training ended before its annealing did."""
    budgets = [cell.params["budget"] for cell in cells if cell.estimate("kl_to_target") and not cell.baseline]
    annealed = [(budget["steps"] - 1, anneal) for budget in budgets if (anneal := budget.get("anneal_steps"))]
    ends = {min(1.0, 0.01 + last / anneal) for last, anneal in annealed}
    if not ends or min(ends) == 1:
        return ""
    shares = " or ".join(f"{end:.2f}" for end in sorted(ends))
    return (
        f"; trained by the KL to p^β, with β growing to {shares}, and measured against the target p itself, so that "
        "even the best fit of what was trained has a KL above 0"
    )


def _parts_of_test(cells: Sequence[CellResult]) -> str:
    """Which cells were measured on the first of the test examples only."""
    by_count = defaultdict(list)
    for cell in cells:
        if part := cell.mean("test_examples"):
            by_count[int(part)].append(cell.label)
    of_all = [
        f"{'all' if len(labels) == len(cells) else ', '.join(labels)} on the first {part:,} test examples, and with "
        "no more samples"
        for part, labels in sorted(by_count.items())
    ]
    return "".join(f"; {words}" for words in of_all)
