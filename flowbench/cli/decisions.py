"""What must be decided about a table before a flow can be trained on it: all of it at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from flowbench import data
from flowbench.bench import checked
from flowbench.config import ConfigError
from flowbench.data import DataError
from flowbench.data._table import read_table
from flowbench.data.table import Table

_UNDECIDED: dict[str, Any] = {
    "columns": None,
    "dequantise": [],
    "as_they_are": [],
    "missing": "refuse",
    "repeated": "refuse",
}


class Decision(NamedTuple):
    """Something unusual in a table.

    Attributes:
        found: what it is.
        option: of the command, by which it is decided, without the hyphens.
        value: the one that goes through, and is shown.
        advice: which values there are, and what they do.
    """

    found: str
    option: str
    value: str | list[str]
    advice: str


def undecided(file: Path, options: Mapping[str, Any]) -> tuple[list[Decision], str]:
    """What must be decided of a table, and what no decision mends: its message, or nothing.

    Args:
        file: CSV, Parquet or NPZ.
        options: of the data source ``table``, as far as they are decided.
    """
    taken = _UNDECIDED | dict(options)
    fault, decisions = _fault(file, taken), []
    # Each looks at the table as the decisions before it leave it.
    for candidate in (_missing, _repeated, _whole, _constant):
        # What makes no difference is nothing to decide.
        if fault and (one := candidate(file, taken, fault)):
            decided = taken | {one.option: one.value}
            if (then := _fault(file, decided)) != fault:
                decisions.append(one)
                taken, fault = decided, then
    return decisions, fault


def _fault(file: Path, options: Mapping[str, Any]) -> str:
    """Why a table cannot be used; empty if it can."""
    logging.disable(logging.WARNING)  # of few examples, which the run itself tells
    try:
        checked(_table(file, options))
    except (DataError, ConfigError) as error:
        return str(error)
    finally:
        logging.disable(logging.NOTSET)
    return ""


def _missing(file: Path, options: Mapping[str, Any], fault: str) -> Decision | None:
    if options["missing"] != "refuse":
        return None
    place = _between(fault, ": ", ": expected")
    return Decision(f"no value in {place}", "missing", "drop", "--missing drop leaves such rows out")


def _repeated(file: Path, options: Mapping[str, Any], fault: str) -> Decision | None:
    if options["repeated"] != "refuse":
        return None
    advice = "--repeated drop uses each once, --repeated keep uses all, and equal rows go into one split"
    return Decision(_between(fault, ": ", "; say"), "repeated", "drop", advice)


def _whole(file: Path, options: Mapping[str, Any], fault: str) -> Decision | None:
    told = {*options["dequantise"], *options["as_they_are"]}
    names = [
        name
        for name, column in _columns(file, options).items()
        if name not in told and (column == column.round()).all() and (column != column[0]).any()
    ]
    if not names:
        return None
    added, kept = ([*options[option], *names] for option in ("dequantise", "as_they_are"))
    advice = f"--dequantise {','.join(added)} adds noise from [0, 1), --as-they-are {','.join(kept)} adds none"
    return Decision(f"whole numbers alone in {_quoted(names)}", "dequantise", added, advice)


def _constant(file: Path, options: Mapping[str, Any], fault: str) -> Decision | None:
    columns = _columns(file, options)
    varying = [name for name, column in columns.items() if (column != column[0]).any()]
    constant = [name for name in columns if name not in varying]
    if not constant or not varying:
        return None
    advice = f"--columns {','.join(varying)} leaves it out"
    return Decision(f"one value alone in {_quoted(constant)}", "columns", varying, advice)


def _columns(file: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The columns by name, none where they cannot be read or hold nothing."""
    try:
        names = _table(file, options).names
        rows = read_table(file, names, missing=options["missing"] == "drop")
    except (DataError, ConfigError):
        return {}
    return dict(zip(names, rows.T, strict=True)) if len(rows) else {}


def _table(file: Path, options: Mapping[str, Any]) -> Table:
    return cast(Table, data.load(file.stem, source="table", path=str(file), **options))


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
