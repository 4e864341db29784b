"""The tables that say whether flows are what they claim to be: invertible, normalised, alike in both precisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import fmean

from flowbench.metrics import LATENT_STDS
from flowbench.report import numbers
from flowbench.report.cells import CellResult
from flowbench.report.layout import Row, Table, Value, meanings, measured, of_cells, single, texts, worst
from flowbench.report.tables import ABOUT, DOUBLE, LOG_DETERMINANTS, ROUND_TRIPS
from flowbench.report.verdicts import (
    LARGEST_DENSITY_ERROR,
    LARGEST_FLOAT32_ERROR,
    LARGEST_FLOAT64_ERROR,
    LARGEST_MASS_ERROR,
    LARGEST_SOLVED_DENSITY_ERROR,
    density_verdict,
    verdict,
)

# Starts of round trips; as Behrmann et al. (2021, 2006.09347) have them.
STRESS = {"data": "data", "samples": "samples", "noise": "noise"} | {f"latents_{k}_std": f"{k} σ" for k in LATENT_STDS}
_STRESS = {f"l2_error_{start}": head for start, head in STRESS.items()}
AGREEMENT = {
    "sample_log_prob_error_max": "density there and back",
    "log_prob_error_max": "density float32 – float64",
    "density_mass": "mass on the grid",
    "outside_share": "samples outside",
}


def correctness(cells: Sequence[CellResult]) -> list[Table]:
    """What is asked, round trips and log-determinants, densities from both sides, and where flows give way."""
    return [criteria(cells), *certificates(cells), *agreement(cells), *stress(cells)]


def criteria(cells: Sequence[CellResult]) -> Table:
    """The limit of each error that a verdict looks at; with a solver some are others."""
    strict, loose = numbers.power(LARGEST_FLOAT64_ERROR), numbers.power(LARGEST_FLOAT32_ERROR)
    nearer = f"{loose}, and nearer with a tenth of the tolerance"
    density, solved = numbers.power(LARGEST_DENSITY_ERROR), numbers.power(LARGEST_SOLVED_DENSITY_ERROR)
    asked = [
        ("in float32", "test data, there and back", loose, loose),
        ("in float64", "test data, there and back", strict, nearer),
        ("in float64", "log-determinant, against autograd", f"{strict} nats", f"{loose} nats"),
    ]
    if measured(cells, "divergence_error_max"):
        asked.append(("in float64", "divergence, against autograd", "–", f"{strict} nats per unit of time"))
    if measured(cells, "log_prob_error_max"):
        unit = "bits per dim"
        asked += [
            ("of its density", "test data, float32 against float64", f"{density} {unit}", f"{density} {unit}"),
            ("of its density", "samples, there and back in float64", f"{density} {unit}", f"{solved} {unit}"),
            ("of its density", "latents of the prior, there and back in float64", "finite", "finite"),
        ]
    if measured(cells, "outside_share"):
        mass = f"{LARGEST_MASS_ERROR:g}"
        asked.append(("of its density", "mass on the grid and samples outside, from 1 in all", mass, mass))
    columns = ["what is compared", "limit"] + ["limit with a solver"] * any(cell.continuous for cell in cells)
    rows = [Row(head, [Value(text) for text in rest[: len(columns)]]) for head, *rest in asked]
    return Table("What a cell must keep to.", columns, rows, first="certification", words=True)


def certificates(cells: Sequence[CellResult]) -> list[Table]:
    """How well each flow's directions and log-determinants agree: the worst of all seeds, by precision."""
    shown = [cell for cell in cells if measured([cell], "invertibility_error_max")]
    scope = "" if single(cells) else ", largest over the seeds"
    captions = {
        "float32": (f"Round trips in float32, as trained{scope}.", ROUND_TRIPS),
        "float64": (f"Round trips and log-determinants in float64{scope}.", DOUBLE | LOG_DETERMINANTS),
    }
    tables = []
    for precision, (caption, heads) in captions.items():
        columns = [worst(head, shown, metric) for metric, head in heads.items() if measured(shown, metric)]
        columns.append(_verdicts([verdict(cell, precision) for cell in shown]))
        tables.append(of_cells(caption, shown, columns, ABOUT | meanings(heads), "cell"))
    return tables


def _verdicts(words: list[str]) -> tuple[str, list[Value]]:
    return "verdict", [Value(word, "fail" if word == "fails" else "") for word in words]


def agreement(cells: Sequence[CellResult]) -> list[Table]:
    """Whether densities are the same from both sides and in both precisions, and integrate to one.

    The first two in bits per dim; the integral and the share have no unit.
    """
    heads = {metric: head for metric, head in AGREEMENT.items() if measured(cells, metric)}
    shown = [cell for cell in cells if any(metric in cell.values for metric in heads)]
    if not shown:
        return []
    scope = "" if single(cells) else ", of the worst seed"
    caption = (
        "Densities from both sides and in both precisions: largest differences of log p(x) in bits per dim; and the "
        f"integral of p(x) over the grid, with the share of samples outside of it{scope}."
    )
    special = {"density_mass": _mass, "outside_share": _outside}
    columns = [
        texts(head, shown, special[metric]) if metric in special else worst(head, shown, metric)
        for metric, head in heads.items()
    ]
    columns.append(_verdicts([density_verdict(cell) for cell in shown]))
    return [of_cells(caption, shown, columns, ABOUT | meanings(heads), "cell")]


def _mass(cell: CellResult) -> str:
    seed = _farthest(cell)
    return "–" if seed is None else f"{cell.values['density_mass'][seed]:.4f}"


def _outside(cell: CellResult) -> str:
    seed = _farthest(cell)
    return f"{cell.values['outside_share'][seed]:.4f}" if seed in cell.values.get("outside_share", {}) else "–"


def _farthest(cell: CellResult) -> int | None:
    """The seed whose mass, with what is outside of the grid, is farthest from one."""
    masses, outside = cell.by_seed("density_mass"), cell.values.get("outside_share", {})
    return max(masses, key=lambda seed: abs(masses[seed] + outside.get(seed, 0) - 1), default=None)


def stress(cells: Sequence[CellResult]) -> list[Table]:
    """How far from their start round trips end where a flow is not at home, and how many are lost."""
    shown = [cell for cell in cells if measured([cell], "l2_error_data")]
    if not shown:
        return []
    caption = (
        "Round-trip errors in float32 as lengths, |x - decode(encode(x))|₂, or of latents |z - encode(decode(z))|₂: "
        "means over the examples that come back finite, and over seeds; in brackets the share that does not."
    )
    columns = [texts(head, shown, partial(_lengths, start)) for start, head in STRESS.items()]
    return [of_cells(caption, shown, columns, meanings(_STRESS), "cell")]


def _lengths(start: str, cell: CellResult) -> str:
    lengths, lost = cell.finished(f"l2_error_{start}"), cell.mean(f"lost_share_{start}")
    if not lengths:
        return numbers.power(None)
    finite = list(filter(math.isfinite, lengths))  # of a seed that loses all there is no length
    text = numbers.power(fmean(finite) if finite else math.inf)
    return f"{text} ({f'{lost:.1%}' if lost >= 0.0005 else '<0.1%'})" if lost else text
