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

Format = Callable[[float | None], str]


@dataclass(frozen=True)
class Value:
    """One entry: its text, and ``best`` or ``tie`` where it leads its column."""

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
    caption: str
    columns: list[str]
    rows: list[Row] = field(default_factory=list)


# Column, metric and how it is written, by what the table says.
QUALITY = {
    "bits_per_dim": "bits per dim",
    "kl_to_target": "KL to target, nats",
    "nll_nats": "NLL, nats",
    "sliced_wasserstein": "sliced Wasserstein",
    "energy_distance": "energy distance",
    "minor_mode_share": "minor mode",
}
CERTIFICATES: dict[str, tuple[str, Format]] = {
    "invertibility_error_max": ("data max, f32", numbers.power),
    "invertibility_error_p99": ("data p99, f32", numbers.power),
    "invertibility_error_mean": ("data mean, f32", numbers.power),
    "invertibility_error_max_noise": ("noise max, f32", numbers.power),
    "latent_invertibility_error_max": ("latent max, f32", numbers.power),
    "non_finite_share": ("not finite, f32", numbers.power),
    "invertibility_error_max_float64": ("data max, f64", numbers.power),
    "latent_invertibility_error_max_float64": ("latent max, f64", numbers.power),
    "logdet_error_max": ("log-det, f64", numbers.power),
}
COSTS: dict[str, tuple[str, Format]] = {
    "train_seconds": ("training, s", numbers.significant),
    "train_samples_per_second": ("training, 1/s", numbers.rate),
    "log_prob_samples_per_second": ("density, 1/s", numbers.rate),
    "sample_samples_per_second": ("sampling, 1/s", numbers.rate),
    "peak_memory_mb": ("peak memory, MB", numbers.significant),
}


def quality(cells: Sequence[CellResult]) -> Table:
    """How good each flow is on one data set: means over seeds with intervals, the leaders marked."""
    metrics = [metric for metric in QUALITY if any(metric in cell.values for cell in cells)]
    floor = _floor(cells)
    columns: list[tuple[str, list[Value]]] = []
    for metric in metrics:
        estimates = [cell.estimate(metric) for cell in cells]
        columns.append((QUALITY[metric], _column(estimates, metric)))
        if metric == "bits_per_dim" and floor is not None:
            gaps = [Estimate(e.mean - floor, e.half, e.n) if e else None for e in estimates]
            columns.append(("above floor", [Value(numbers.spread(gap)) for gap in gaps]))
    columns.append(("parameters", [Value(f"{cell.training['parameters']:,}") for cell in cells]))
    columns.append(("training, s", [Value(numbers.significant(_mean(cell, "train_seconds"))) for cell in cells]))
    rows = [
        Row(cell.label, [Value(cell.training["likelihood"])] + [values[i] for _, values in columns], note(cell))
        for i, cell in enumerate(cells)
    ]
    if floor is not None:
        known = {"bits per dim": f"{floor:.4f}".replace("-", "−"), "above floor": "0"}
        rows.append(Row("entropy floor", [Value("")] + [Value(known.get(name, "")) for name, _ in columns], "", True))
    return Table(_seed_counts(cells), ["likelihood"] + [name for name, _ in columns], rows)


def moments(cells: Sequence[CellResult]) -> list[Table]:
    """What each flow learnt of the moments, beside the true ones."""
    tables = []
    for cell in cells:
        pairs = [
            (name, name.replace("learnt", "true"))
            for name in cell.values
            if name.startswith(("learnt_mean_x", "learnt_std_x"))
        ]
        if not pairs:
            continue
        table = Table(f"Moments that {cell.label} learnt.", ["true", "learnt"])
        for learnt, true in sorted(pairs):
            name = learnt.removeprefix("learnt_").replace("_x", " of x")
            table.rows.append(
                Row(name, [Value(numbers.significant(_mean(cell, true))), Value(numbers.spread(cell.estimate(learnt)))])
            )
        for error in ("learnt_mean_error", "learnt_std_error"):
            name = f"error of the {'mean' if 'mean' in error else 'std'}, in true std"
            table.rows.append(Row(name, [Value(""), Value(numbers.spread(cell.estimate(error)))]))
        tables.append(table)
    return tables


def certificates(cells: Sequence[CellResult]) -> Table:
    """How well each flow's directions and log-determinants agree: the worst of all seeds."""
    shown = [cell for cell in cells if CERTIFICATES.keys() & cell.values.keys()]
    return _plain("Largest over the seeds; f32: float32 as trained, f64: float64.", shown, CERTIFICATES, _worst)


def costs(cells: Sequence[CellResult], hosts: dict[str, str]) -> Table:
    """What each flow costs; where there are several hosts, the letter says on which."""
    table = _plain("Means over the seeds.", cells, COSTS, _mean)
    if len(hosts) > 1:
        table.columns.append("host")
        for cell, row in zip(cells, table.rows, strict=True):
            row.values.append(Value(hosts[cell.host]))
    return table


def note(cell: CellResult) -> str:
    """What a reader must know of a cell before comparing it."""
    seeds, lost = len(cell.training["seeds"]), len(cell.diverged)
    return ", ".join((["baseline"] if cell.baseline else []) + ([f"{lost} of {seeds} diverged"] if lost else []))


def _plain(
    caption: str,
    cells: Sequence[CellResult],
    columns: dict[str, tuple[str, Format]],
    summary: Callable[[CellResult, str], float | None],
) -> Table:
    """One row per cell and one column per metric that any cell has."""
    metrics = [metric for metric in columns if any(metric in cell.values for cell in cells)]
    table = Table(caption, [columns[metric][0] for metric in metrics])
    for cell in cells:
        values = [Value(columns[metric][1](summary(cell, metric))) for metric in metrics]
        table.rows.append(Row(f"{cell.data} · {cell.label}", values, note(cell)))
    return table


def _column(estimates: list[Estimate | None], metric: str) -> list[Value]:
    better = METRICS[metric].better
    marks = numbers.marks(estimates, better) if better else [""] * len(estimates)
    return [Value(numbers.spread(e), mark) for e, mark in zip(estimates, marks, strict=True)]


def _floor(cells: Sequence[CellResult]) -> float | None:
    return next((e.mean for cell in cells if (e := cell.estimate("entropy_floor_bits_per_dim"))), None)


def _mean(cell: CellResult, metric: str) -> float | None:
    e = cell.estimate(metric)
    return e.mean if e else None


def _worst(cell: CellResult, metric: str) -> float | None:
    values = cell.finished(metric)
    return max((math.inf if math.isnan(value) else value for value in values), default=None)


def _seed_counts(cells: Sequence[CellResult]) -> str:
    """``Mean ± 95 % interval over 3 seeds.``, or which cells have how many."""
    counts = defaultdict(list)
    for cell in cells:
        counts[len(cell.training["seeds"])].append(cell.label)
    if len(counts) == 1:
        n = next(iter(counts))
        return "One seed each, so no intervals." if n == 1 else f"Mean ± 95 % interval over {n} seeds."
    return "Mean ± 95 % interval; seeds: " + "; ".join(
        f"{n} for {', '.join(labels)}" for n, labels in sorted(counts.items())
    )
