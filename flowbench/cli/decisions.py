"""What must be decided about a table before a flow can be trained on it: all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from flowbench import data
from flowbench.bench import checked
from flowbench.config import ConfigError
from flowbench.data import DataError
from flowbench.data._table import read_table
from flowbench.data.table import Table


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
    taken = {"columns": None, "dequantise": [], "as_they_are": [], "missing": "refuse", "repeated": "refuse"} | dict(
        options
    )
    decisions = []
    fault = _fault(file, taken)
    for option, found, advice in (
        ("missing", f"no value in {_between(fault, ': ', ': expected')}", "--missing drop leaves such rows out"),
        ("repeated", "", "--repeated drop uses each once, --repeated keep uses all, and equal rows go into one split"),
    ):
        # A decision is one if it makes a difference.
        if fault and taken[option] == "refuse" and (then := _fault(file, taken | {option: "drop"})) != fault:
            found = found if option == "missing" else _between(fault, ": ", "; say")
            decisions.append(Decision(found, option, "drop", advice))
            taken[option], fault = "drop", then
    if fault:
        columns = _of_columns(file, taken)
        taken |= {one.option: one.value for one in columns}
        if columns:
            decisions += columns
            fault = _fault(file, taken)
    return decisions, fault


def _fault(file: Path, options: Mapping[str, Any]) -> str:
    """Why a table cannot be used, in the first line; empty if it can."""
    try:
        checked(_table(file, options))
    except (DataError, ConfigError) as error:
        return str(error)
    return ""


def _table(file: Path, options: Mapping[str, Any]) -> Table:
    return cast(Table, data.load(file.stem, source="table", path=str(file), **options))


def _of_columns(file: Path, options: Mapping[str, Any]) -> list[Decision]:
    """What must be decided of single columns: those that are constant or hold whole numbers alone."""
    names = _table(file, options).names
    try:
        columns = dict(zip(names, read_table(file, names, missing=options["missing"] == "drop").T, strict=True))
    except DataError:
        return []
    columns = {name: column for name, column in columns.items() if len(column)}
    told = {*options["dequantise"], *options["as_they_are"]}
    constant = [name for name, column in columns.items() if name not in told and (column == column[0]).all()]
    whole = [
        name
        for name, column in columns.items()
        if name not in {*constant, *told} and (column == columns[name].round()).all()
    ]
    decisions = []
    if constant and (others := [name for name in names if name not in constant]):
        found = f"one value alone in {_quoted(constant)}"
        decisions.append(Decision(found, "columns", others, f"--columns {','.join(others)} leaves it out"))
    if whole:
        added, kept = ([*options[option], *whole] for option in ("dequantise", "as_they_are"))
        advice = f"--dequantise {','.join(added)} adds noise from [0, 1), --as-they-are {','.join(kept)} adds none"
        decisions.append(Decision(f"whole numbers alone in {_quoted(whole)}", "dequantise", added, advice))
    return decisions


def _quoted(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0]
