"""The tables of what only some cells have: a solver, an autoencoder around them, a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowbench.report.cells import CellResult
from flowbench.report.layout import (
    Column,
    Table,
    Value,
    count,
    mean,
    meanings,
    measured,
    of_cells,
    ranked,
    single,
    texts,
    times,
    worst,
)


def _trained_by(cell: CellResult) -> str:
    return cell.params["flow"].get("flow_learns_by", "")


def _of_likelihood(head: str, cells: Sequence[CellResult], metric: str) -> Column:
    """A column of means, without those of flows that learnt nothing about density."""
    _, values = ranked(head, cells, metric)
    learnt = [_trained_by(cell) != "reconstruction" for cell in cells]
    return head, [value if known else Value("–") for value, known in zip(values, learnt, strict=True)]


# By metric the head of its column, and how the column is written.
Columns = dict[str, tuple[str, Callable[[str, Sequence[CellResult], str], Column]]]
CONTINUOUS: Columns = {
    "solver_tolerance": ("tolerance", worst),
    "log_prob_evaluations": ("evaluations, density", count),
    "sample_evaluations": ("evaluations, sample", count),
    "bits_per_dim_solver_error": ("solver error, bits per dim", worst),
    "bits_per_dim_probe_std": ("probe spread, bits per dim", mean),
    "path_energy": ("path energy", ranked),
    "normalised_path_energy": ("normalised path energy", ranked),
}
AUTOENCODERS: Columns = {
    "reconstruction_error": ("squared error", ranked),
    "psnr": ("PSNR, dB", ranked),
    "latent_bits_per_dim": ("bits per latent dim", _of_likelihood),
}
DISTILLATION: Columns = {
    "bits_per_dim": ("bits per dim", ranked),
    "teacher_bits_per_dim": ("teacher's bits per dim", ranked),
    "kl_to_teacher": ("KL to teacher, nats", ranked),
    "kl_to_teacher_standard_error": ("standard error, nats", mean),
    "distillation_speedup": ("faster than teacher here", times),
    "distillation_speedup_naive": ("faster than D passes", times),
}
HEADS = {metric: head for metric, (head, _) in (CONTINUOUS | AUTOENCODERS | DISTILLATION).items()}
# Columns that are no metric, or several.
DERIVED = {
    "log p(x)": "Whether the log-likelihood of a continuous flow is exact, up to its solver, or an estimate by "
    "random probes of the divergence.",
    "round trip → tightened": "The largest |x - decode(encode(x))| over test points in float64, at the solver's "
    "tolerance and at a tenth of it.",
    "flow learns by": "What trains the flow between encoder and decoder: the likelihood of codes, or reconstructions.",
    "round trip of codes": "The largest |c - decode(encode(c))| over codes c of test images, in float32.",
    "teacher": "The cell that a student learnt from.",
}
_ABOUT = meanings(HEADS) | DERIVED


def families(cells: Sequence[CellResult]) -> list[Table]:
    """The tables in which a cell of one data set has a row."""
    kinds = {"solver_tolerance": _continuous, "reconstruction_error": _autoencoders, "kl_to_teacher": _distillation}
    found = [(table, [cell for cell in cells if metric in cell.values]) for metric, table in kinds.items()]
    return [table(of_kind) for table, of_kind in found if of_kind]


def _continuous(cells: Sequence[CellResult]) -> Table:
    """What the solver of each flow costs, how much it errs, and how straight its paths are."""
    caption = "Continuous flows: what their solver costs in evaluations of the vector field, and how much it errs"
    columns = [texts("log p(x)", cells, _log_prob), *_columns(cells, CONTINUOUS)]
    _, at_tolerance = worst("", cells, "invertibility_error_max_float64")
    _, tightened = worst("", cells, "invertibility_error_max_tightened")
    ways = {cell.key: f"{a.text} → {b.text}" for cell, a, b in zip(cells, at_tolerance, tightened, strict=True)}
    columns.append(texts("round trip → tightened", cells, lambda cell: ways[cell.key]))
    return of_cells(f"{caption}{_largest(cells)}.", cells, columns, _ABOUT)


def _log_prob(cell: CellResult) -> str:
    if (probes := cell.mean("probes")) is None:
        return cell.likelihood
    return f"{cell.likelihood}, {probes:.0f} probe{'s' if probes > 1 else ''}"


def _autoencoders(cells: Sequence[CellResult]) -> Table:
    """How well images come back, and what the flow in between makes of their codes."""
    caption = f"Autoencoders: test images with shades from 0 to 1, and the codes between{_largest(cells)}."
    if any(_trained_by(cell) == "reconstruction" for cell in cells):
        caption += " A flow that learns by reconstruction alone learns nothing about density, and so has no bits here."
    columns = [texts("flow learns by", cells, _trained_by), *_columns(cells, AUTOENCODERS)]
    columns.append(worst("round trip of codes", cells, "invertibility_error_max"))
    return of_cells(caption, cells, columns, _ABOUT)


def _distillation(cells: Sequence[CellResult]) -> Table:
    """How near students are to their teachers, and how much faster they sample."""
    caption = (
        "Distillation: how many times faster a student samples than its teacher. The teacher's decoder here does the "
        "work of about two passes of the network, one of them in D steps. A textbook decoder does one full pass for "
        "each of D features; for few features it can be the faster of the two. The gain grows with D: about a "
        "thousandfold is published for speech, a sequence of many thousand steps (Parallel WaveNet, van den Oord et "
        "al. 2018, arXiv 1711.10433). Students see no data, and need the training of their teachers besides their own."
    )
    columns = [texts("teacher", cells, lambda cell: cell.params["cell"]["teacher"]), *_columns(cells, DISTILLATION)]
    return of_cells(caption, cells, columns, _ABOUT)


def _columns(cells: Sequence[CellResult], columns: Columns) -> list[Column]:
    """Those that any cell has a value for."""
    return [write(head, cells, metric) for metric, (head, write) in columns.items() if measured(cells, metric)]


def _largest(cells: Sequence[CellResult]) -> str:
    return "" if single(cells) else "; errors are the largest of any seed"
