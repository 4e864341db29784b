"""The tables of a report, as text that a template only lays out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flowbench.metrics import METRICS
from flowbench.report import numbers
from flowbench.report.cells import CellResult
from flowbench.report.numbers import Estimate
from flowbench.report.published import Published, beside, context


@dataclass(frozen=True)
class Value:
    """One entry: its text, and ``best`` or ``tie`` where it leads its column, or ``fail``."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A flow's entries; ``note`` says what is out of the ordinary, and a reference row is set apart."""

    name: str
    values: list[Value]
    note: str = ""
    reference: bool = False


@dataclass
class Table:
    """Rows under a caption; ``first`` heads their names, and a table of ``words`` is set from the left.

    ``titles`` say what a column holds, where its head is a metric in short.
    """

    caption: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)
    first: str = ""
    words: bool = False
    titles: dict[str, str] = field(default_factory=dict)


# Column, metric and how it is written, by what the table says.
QUALITY = {
    "bits_per_dim": "bits per dim",
    "kl_to_target": "KL to target, nats",
    "sliced_wasserstein": "sliced Wasserstein",
    "energy_distance": "energy distance",
    "minor_mode_share": "minor mode",
}
ROUND_TRIPS = {
    "invertibility_error_max": "data, max",
    "invertibility_error_p99": "data, p99",
    "invertibility_error_mean": "data, mean",
    "invertibility_error_max_noise": "noise, max",
    "latent_invertibility_error_max": "latent, max",
    "non_finite_share": "not finite",
}
_DOUBLE = {double: head for metric, head in ROUND_TRIPS.items() if (double := f"{metric}_float64") in METRICS}
LOG_DETERMINANTS = {"logdet_error_max": "log-det., max"}
COSTS = {
    "train_seconds": "training, s",
    "train_samples_per_second": "training, 1/s",
    "log_prob_samples_per_second": "density, 1/s",
    "sample_samples_per_second": "sampling, 1/s",
    "peak_memory_mb": "peak memory, MB",
}
# What is computed from several metrics, or from none.
DERIVED = {
    "likelihood": "Whether log p(x) is exact, an estimate or a bound.",
    "above floor": "Bits per dim less the entropy floor.",
    "published": "A paper's bits per dim in the same setting, with a budget of its own.",
    "steps × batch": "Optimiser steps, and examples in each.",
    "epochs": "Passes over the training split.",
    "round trip": "The largest error of any round trip in float32: of test data, prior samples or noise.",
    "verdict": "Whether round trips of test data, and log-determinants in float64, are as accurate as a flow must be.",
}

# What `flowbench check` asks of random models in float64, asked of trained ones on test data; and what a benchmarked
# flow must reach in the precision that it is used in.
LARGEST_FLOAT64_ERROR = 1e-8
LARGEST_FLOAT32_ERROR = 1e-3
CERTIFICATION = (
    f"A flow passes in float64 where test data comes back to within {numbers.power(LARGEST_FLOAT64_ERROR)} and "
    f"log-determinants err by less than {numbers.power(LARGEST_FLOAT64_ERROR)} nats, and in float32 where test data "
    f"comes back to within {numbers.power(LARGEST_FLOAT32_ERROR)}. Latents and noise far off the data may come back "
    "worse in float32: that is shown, and is a property of the model rather than a failure."
)


def quality_metric(cells: Sequence[CellResult]) -> str:
    """What the flows on one data set are ranked by."""
    return "kl_to_target" if any("kl_to_target" in cell.values for cell in cells) else "bits_per_dim"


def quality(cells: Sequence[CellResult]) -> Table:
    """How good each flow is on one data set: means over seeds with intervals, the leaders marked.

    Of images, whose table is the whole of what many readers want, with the budget and the worst round trip.
    """
    images = any(cell.images for cell in cells)
    metrics = [metric for metric in QUALITY if any(metric in cell.values for cell in cells)]
    lowest = floor(cells)
    columns: list[tuple[str, list[Value]]] = []
    if not _exact(cells):
        columns.append(("likelihood", [Value(cell.training["likelihood"]) for cell in cells]))
    for metric in metrics:
        estimates = [cell.estimate(metric) for cell in cells]
        columns.append((QUALITY[metric], _column(cells, estimates, metric)))
        if metric == "bits_per_dim" and lowest is not None:
            gaps = [Estimate(e.mean - lowest, e.half, e.n) if e else None for e in estimates]
            columns.append(("above floor", [Value(numbers.spread(gap, count=not _single(cells))) for gap in gaps]))
        if metric == "bits_per_dim" and any(beside(cell) for cell in cells):
            values = [next((f"{value.value:.2f}" for value in beside(cell)), "") for cell in cells]
            columns.append(("published", [Value(text) for text in values]))
    columns.append(("parameters", [Value(f"{cell.training['parameters']:,}") for cell in cells]))
    if len({cell.budget for cell in cells if not cell.baseline}) > 1:
        columns += _budgets(cells)
    columns.append(("training, s", [Value(_cost(cell, "train_seconds")) for cell in cells]))
    if images:
        columns += _at_a_glance(cells)
    rows = [Row(cell.label, [values[i] for _, values in columns], note(cell)) for i, cell in enumerate(cells)]
    if lowest is not None:
        known = {"bits per dim": f"{lowest:.4f}".replace("-", "−"), "above floor": "0"}
        rows.append(Row("entropy floor", [Value(known.get(name, "")) for name, _ in columns], "", True))
    names = [name for name, _ in columns]
    return Table(_caption(cells), names, rows, "flow", titles=_titles(names, QUALITY | COSTS))


def _budgets(cells: Sequence[CellResult]) -> list[tuple[str, list[Value]]]:
    """What each cell was given to train with."""
    words = {"steps × batch": [_size(cell) for cell in cells]}
    if any(cell.epochs for cell in cells):
        words["epochs"] = [numbers.significant(cell.epochs, 2) if cell.epochs else "" for cell in cells]
    if len({cell.place for cell in cells}) > 1:
        words["on"] = [cell.place for cell in cells]
    return [(name, [Value(text) for text in texts]) for name, texts in words.items()]


def _size(cell: CellResult) -> str:
    budget = cell.params["budget"]
    return "" if cell.baseline else f"{budget['steps']:,} × {budget['batch_size']:,}"


def _at_a_glance(cells: Sequence[CellResult]) -> list[tuple[str, list[Value]]]:
    """How fast each cell samples, and its worst round trip of data, prior samples and noise in float32."""
    words = {"sampling, 1/s": [numbers.rate(_mean(cell, "sample_samples_per_second")) for cell in cells]}
    largest = [metric for metric in ROUND_TRIPS if "error_max" in metric]
    errors = [[_worst(cell, metric) for metric in largest] for cell in cells]
    worst = [max((e for e in of_cell if e is not None), default=None) for of_cell in errors]
    words["round trip"] = [numbers.power(e) for e in worst]
    return [(name, [Value(text) for text in texts]) for name, texts in words.items()]


def published(cells: Sequence[CellResult]) -> list[Table]:
    """The published values on one data set: beside ours where the settings agree, and the others as context."""
    tables = []
    if pairs := [(cell, value) for cell in cells for value in beside(cell)]:
        caption = "Bits per dim beside published ones: the settings agree, the budgets need not."
        columns = ["ours", "published", "our budget", "their budget", "setting", "published as"]
        table = Table(caption, columns, first="flow", words=True)
        for cell, value in pairs:
            ours = _column([cell], [cell.estimate("bits_per_dim")], "bits_per_dim")[0].text
            budget = f"{cell.budget}; {numbers.significant(_mean(cell, 'train_seconds'))} s on {cell.place}"
            texts = [
                ours,
                f"{value.value:.2f}",
                budget,
                value.budget,
                value.setting,
                f"{value.model}, {_source(value)}",
            ]
            table.rows.append(Row(cell.label, [Value(text) for text in texts], note(cell)))
        tables.append(table)
    if others := context(cells):
        columns = ["bits per dim", "what differs", "setting", "budget", "published in"]
        table = Table("Published in other settings: context, and no comparison.", columns, first="model", words=True)
        for value, differences in others:
            texts = [f"{value.value:.2f}", "; ".join(differences), value.setting, value.budget, _source(value)]
            table.rows.append(Row(value.model, [Value(text) for text in texts]))
        tables.append(table)
    return tables


def _source(value: Published) -> str:
    derived = f"; {value.derived}" if value.derived else ""
    return f"{value.paper} {value.year}, arXiv {value.arxiv}{derived}"


def moments(cells: Sequence[CellResult]) -> list[Table]:
    """What each flow learnt of the moments, beside the true ones."""
    tables = []
    for cell in cells:
        learnt = sorted(name for name in cell.values if name.startswith(("learnt_mean_x", "learnt_std_x")))
        if not learnt:
            continue
        rows = {
            name.removeprefix("learnt_").replace("_x", " of x"): (name, _mean(cell, name.replace("learnt", "true")))
            for name in learnt
        }
        rows |= {f"error of the {name}, in true std": (f"learnt_{name}_error", None) for name in ("mean", "std")}
        table = Table(f"Moments that {cell.label} learnt.", ["true", "learnt"])
        for name, (metric, true) in rows.items():
            spread = numbers.spread(cell.estimate(metric), count=not _single(cells))
            table.rows.append(Row(name, [Value("" if true is None else numbers.significant(true)), Value(spread)]))
        tables.append(table)
    return tables


def certificates(cells: Sequence[CellResult]) -> list[Table]:
    """How well each flow's directions and log-determinants agree: the worst of all seeds, by precision."""
    shown = [cell for cell in cells if cell.values.keys() & ROUND_TRIPS]
    scope = "" if _single(cells) else ", largest over the seeds"
    captions = {
        "float32": (f"Round trips in float32, as trained{scope}.", ROUND_TRIPS),
        "float64": (f"Round trips and log-determinants in float64{scope}.", _DOUBLE | LOG_DETERMINANTS),
    }
    tables = []
    for precision, (caption, columns) in captions.items():
        table = _plain(caption, shown, columns, lambda cell, metric: numbers.power(_worst(cell, metric)))
        table.columns.append("verdict")
        table.titles["verdict"] = DERIVED["verdict"]
        for cell, row in zip(shown, table.rows, strict=True):
            word = verdict(cell, precision)
            row.values.append(Value(word, "fail" if word == "fails" else ""))
        tables.append(table)
    return tables


def verdict(cell: CellResult, precision: str) -> str:
    """``passes`` or ``fails`` by the worst seed on test data, and a dash where nothing was measured."""
    round_trip = {"float32": "invertibility_error_max", "float64": "invertibility_error_max_float64"}[precision]
    limit = {"float32": LARGEST_FLOAT32_ERROR, "float64": LARGEST_FLOAT64_ERROR}[precision]
    errors = [_worst(cell, metric) for metric in [round_trip] + ["logdet_error_max"] * (precision == "float64")]
    measured = [error for error in errors if error is not None]
    if any(error >= limit for error in measured):
        return "fails"
    if errors[0] is None:
        return "–"
    return "passes" if len(measured) == len(errors) else "round trip passes"


def costs(cells: Sequence[CellResult], hosts: dict[str, str]) -> Table:
    """What each flow costs; where there are several hosts, the letter says on which."""
    caption = ""
    if not _single(cells):
        caption = "Means over the seeds, and of the training time the shortest and the longest."
        if any(cell.device == "cpu" for cell in cells):
            caption += " A CPU trains the seeds of a cell side by side on its cores, where they slow each other down."
    table = _plain(caption, cells, COSTS, _cost)
    if len(hosts) > 1:
        table.columns.append("host")
        for cell, row in zip(cells, table.rows, strict=True):
            row.values.append(Value(hosts[cell.host]))
    return table


def note(cell: CellResult) -> str:
    """What a reader must know of a cell before comparing it."""
    seeds, lost = len(cell.training["seeds"]), len(cell.diverged)
    failed = [precision for precision in ("float32", "float64") if verdict(cell, precision) == "fails"]
    words = {
        "baseline": cell.baseline,
        f"{lost} of {seeds} diverged": lost,
        f"fails certification in {' and '.join(failed)}": failed,
    }
    return ", ".join(word for word, holds in words.items() if holds)


def glossary(cells: Sequence[CellResult], shown: Sequence[Table]) -> list[tuple[str, str, str, str]]:
    """Every metric and every derived column of the tables: its head, its name, its unit and its meaning."""
    heads = QUALITY | ROUND_TRIPS | LOG_DETERMINANTS | COSTS
    heads |= {metric: f"{column} (float64)" for metric, column in _DOUBLE.items()}
    present = {metric for cell in cells for metric in cell.values}
    metrics = [(heads.get(name, ""), name, m.unit, m.about) for name, m in METRICS.items() if name in present]
    columns = {column for table in shown for column in table.columns}
    return metrics + [(column, "", "", about) for column, about in DERIVED.items() if column in columns]


def _plain(
    caption: str,
    cells: Sequence[CellResult],
    columns: dict[str, str],
    text: Callable[[CellResult, str], str],
) -> Table:
    """One row per cell and one column per metric that any cell has."""
    metrics = [metric for metric in columns if any(metric in cell.values for cell in cells)]
    names = [columns[metric] for metric in metrics]
    table = Table(caption, names, first="cell", titles=_titles(names, columns))
    for cell in cells:
        values = [Value(text(cell, metric)) for metric in metrics]
        table.rows.append(Row(f"{cell.data} · {cell.label}", values, note(cell)))
    return table


def _column(cells: Sequence[CellResult], estimates: list[Estimate | None], metric: str) -> list[Value]:
    better = METRICS[metric].better
    marks = numbers.marks(estimates, better) if better else [""] * len(estimates)
    single = _single(cells)
    if metric == "bits_per_dim" and single:
        errors = [_mean(cell, "bits_per_dim_standard_error") for cell in cells]
        estimates = [e and Estimate(e.mean, error, e.n) for e, error in zip(estimates, errors, strict=True)]
    return [Value(numbers.spread(e, count=not single), mark) for e, mark in zip(estimates, marks, strict=True)]


def floor(cells: Sequence[CellResult]) -> float | None:
    """Bits per dim of the true density, where it is known."""
    return next((e.mean for cell in cells if (e := cell.estimate("entropy_floor_bits_per_dim"))), None)


def _mean(cell: CellResult, metric: str) -> float | None:
    e = cell.estimate(metric)
    return e.mean if e else None


def _worst(cell: CellResult, metric: str) -> float | None:
    values = cell.finished(metric)
    return max((math.inf if math.isnan(value) else value for value in values), default=None)


def _cost(cell: CellResult, metric: str) -> str:
    """A mean over the seeds, but of times, which differ by what else the machine did, their range."""
    if metric == "train_seconds":
        return numbers.span(cell.finished(metric))
    return (numbers.significant if metric == "peak_memory_mb" else numbers.rate)(_mean(cell, metric))


def _titles(names: Sequence[str], columns: dict[str, str]) -> dict[str, str]:
    """What each column holds, by its head."""
    heads = {"parameters": "parameters"} | columns
    about = DERIVED | {head: METRICS[metric].about for metric, head in heads.items()}
    return {name: about[name] for name in names if name in about}


def _exact(cells: Sequence[CellResult]) -> bool:
    return all(cell.training["likelihood"] == "exact" for cell in cells)


def _single(cells: Sequence[CellResult]) -> bool:
    return all(len(cell.training["seeds"]) == 1 for cell in cells)


def _caption(cells: Sequence[CellResult]) -> str:
    """What ± means, as ``Mean ± 95 % interval over 3 seeds``, and how bits per dim are taken."""
    noise = "; likelihoods are exact" if _exact(cells) else ""
    if draws := sorted({int(mean) for cell in cells if (mean := _mean(cell, "noise_draws"))}):
        plural = "s" if draws != [1] else ""
        noise += f"; bits per dim: {' or '.join(map(str, draws))} draw{plural} of the dequantisation noise"
        if varied := [std for cell in cells if (std := _worst(cell, "bits_per_dim_noise_std")) is not None]:
            noise += f", between which they vary by {numbers.significant(max(varied), 1)} at most (standard deviation)"
    if _single(cells):
        known = any("bits_per_dim_standard_error" in cell.values for cell in cells)
        return f"One seed each (n = 1){'; ± is one standard error over the test examples' if known else ''}{noise}."
    counts = defaultdict(list)
    for cell in cells:
        counts[len(cell.training["seeds"])].append(cell.label)
    if len(counts) == 1:
        return f"Mean ± 95 % interval over {next(iter(counts))} seeds{noise}."
    by_count = "; ".join(f"{n} for {', '.join(labels)}" for n, labels in sorted(counts.items()))
    return f"Mean ± 95 % interval; seeds: {by_count}{noise}."
