"""The tables that say whether flows are what they claim to be: invertible, normalised, alike in both precisions."""

from __future__ import annotations

from flowbench.metrics import METRICS, STARTS, Family, of_family
from flowbench.report.frame import CellResult
from flowbench.report.judgement import certification as limits
from flowbench.report.judgement.certification import Certificate
from flowbench.report.views import numbers
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Entry, Table, filled, of_cells, of_families, of_words
from flowbench.report.views.text import say, words


def correctness(scope: Scope) -> list[Table]:
    """What is asked, round trips and log-determinants, densities from both sides, and where flows give way."""
    trips, densities = scope.having("invertibility_error_max"), scope.having(*of_family("density"))
    float32 = certificate(trips, "float32", "float32")
    float64 = certificate(trips, "float64", "float64", "log-determinant")
    return filled([criteria(scope), float32, float64, certificate(densities, "density", "density"), stress(scope)])


def certification(scope: Scope) -> str:
    """What the limits of `criteria` leave to say."""
    solved, probes = scope.measured("solver_tolerance"), scope.measured("probes")
    judged = [found for found in scope.certificates.values() if found != Certificate()]
    passed = sum(not found.failed for found in judged)
    return say(
        "certification", passed=passed, judged=len(judged), solved=solved, probes=probes, tolerance=limits.TO_TOLERANCE
    )


def criteria(scope: Scope) -> Table:
    """The limit of each error that a verdict looks at; with a solver some are others."""
    known = {
        "strict": numbers.power(limits.LARGEST_FLOAT64_ERROR),
        "loose": numbers.power(limits.LARGEST_FLOAT32_ERROR),
        "density": numbers.power(limits.LARGEST_DENSITY_ERROR),
        "solved": numbers.power(limits.LARGEST_SOLVED_DENSITY_ERROR),
        "lost": f"{limits.LARGEST_LOST_SHARE:.1%}",
        "mass": f"{limits.LARGEST_MASS_ERROR:g}",
    }
    heads = ["what is compared", "limit", "limit with a solver"][: 3 if scope.measured("solver_tolerance") else 2]
    asked = [row for row in words("words")["criteria"] if all(map(scope.measured, row[4:]))]
    rows = [tuple(text.format(**known) for text in row[: len(heads) + 1]) for row in asked]
    return of_words(say("criteria"), "certification", heads, rows)


def certificate(scope: Scope, which: str, *families: Family) -> Table:
    """The verdicts of one certificate, with the errors that it looks at: the worst of all seeds."""
    columns = {"verdict": outcomes(scope, which), **of_families(scope, *families)}
    return of_cells(say(which), scope, columns, with_data=True)


def stress(scope: Scope) -> Table:
    """How far from their start round trips end where a flow is not at home, and how many are lost.

    As Behrmann et al. (2021, 2006.09347) have them.
    """
    shown = scope.having("l2_error_data")
    columns = {"verdict on samples": outcomes(shown, "samples")}
    for start in STARTS:
        columns[METRICS[f"l2_error_{start}"].head] = [_length(shown, cell, start) for cell in shown.cells]
    return of_cells(say("stress"), shown, columns, with_data=True)


def _length(scope: Scope, cell: CellResult, start: str) -> Entry:
    value, lost = scope.value(cell, f"l2_error_{start}"), scope.value(cell, f"lost_share_{start}")
    text = numbers.power(value)
    return Entry(f"{text} ({f'{lost:.1%}' if lost >= 0.0005 else '<0.1%'})" if lost else text, value)


def outcomes(scope: Scope, which: str) -> list[Entry]:
    """``passes`` or ``fails``."""
    found = [getattr(scope.certificates[cell.key], which) for cell in scope.cells]
    return [Entry(word, None, "fail" if word == "fails" else "") for word in found]


def refusals(scope: Scope) -> dict[str, list[str]]:
    """The cells that fail, by their keys, each with every error that is over its limit."""
    return {
        cell.key: [
            say(
                "refusal",
                certificate=reason.certificate,
                head=METRICS[reason.metric].head or reason.metric.replace("_", " "),
                value=numbers.power(reason.value),
                limit=numbers.power(reason.limit),
            )
            for reason in scope.certificates[cell.key].reasons
        ]
        for cell in scope.cells
        if scope.certificates[cell.key].failed
    }
