"""What must be decided about a table before a flow can be trained on it, in the words of the command."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flowbench import data
from flowbench.bench import checked
from flowbench.config import ConfigError
from flowbench.data import DataError
from flowbench.data._table import Fault, TableError


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


def undecided(file: Path, options: Mapping[str, Any], error: DataError) -> tuple[list[Decision], str]:
    """What must be decided of a table, and what no decision mends: its message, or nothing.

    Args:
        file: CSV, Parquet or NPZ.
        options: of the data source ``table``, as far as they are decided.
        error: by which the table was refused.
    """
    if not isinstance(error, TableError):
        return [], str(error)
    unfit = {name for fault in error.faults if fault.kind in ("value", "constant") for name in fault.columns}
    kept = [name for name in error.columns if name not in unfit]
    decisions = [one for fault in error.faults if (one := _decision(fault, kept, options))]
    return decisions, _fault(file, {**options, **{one.option: one.value for one in decisions}})


def _decision(fault: Fault, kept: list[str], options: Mapping[str, Any]) -> Decision | None:
    """How a fault is decided by an option; ``None`` where none mends it.

    Args:
        kept: the columns that a flow can be trained on.
    """
    if fault.kind == "missing":
        return Decision(fault.found, "missing", "drop", "--missing drop leaves such rows out")
    if fault.kind == "repeated":
        advice = "--repeated drop uses each once, --repeated keep uses all, and equal rows go into one split"
        return Decision(fault.found, "repeated", "drop", advice)
    if fault.kind == "whole":
        noisy, plain = ([*options.get(name, []), *fault.columns] for name in ("dequantise", "as_they_are"))
        advice = f"--dequantise {','.join(noisy)} adds noise from [0, 1), --as-they-are {','.join(plain)} adds none"
        return Decision(fault.found, "dequantise", noisy, advice)
    if fault.kind in ("value", "constant") and kept:
        mended = f"{fault.remedy}; or " if fault.kind == "value" else ""
        return Decision(fault.found, "columns", kept, f"{mended}--columns {','.join(kept)} leaves it out")
    return None


def _fault(file: Path, options: Mapping[str, Any]) -> str:
    """Why a table cannot be used; empty if it can."""
    logging.disable(logging.WARNING)  # of few examples, which the run itself tells
    try:
        checked(data.load(file.stem, source="table", path=str(file), **options))
    except (DataError, ConfigError) as error:
        return str(error)
    finally:
        logging.disable(logging.NOTSET)
    return ""
