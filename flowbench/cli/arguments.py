"""What the commands share: names that a shell completes, suites that are loaded, and documents for scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from glob import escape, glob
from pathlib import Path
from typing import Annotated, Any

import typer

from flowbench import config
from flowbench.config import ConfigError, Suite, suites


def _cells(suite: str | None) -> dict[str, dict[str, Any]]:
    """The cells that ``cells.json`` lists; none where it cannot be read, for a shell shows no message."""
    try:
        text = (suites.folder(suite or suites.DEFAULT) / suites.CELLS).read_text(encoding="utf-8")
        return json.loads(text)["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _begin(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]


def complete_suite(incomplete: str) -> list[str]:
    """The suites that begin like this."""
    return _begin(suites.names(), incomplete)


def complete_cell(ctx: typer.Context, incomplete: str) -> list[str]:
    """The cells that begin like this, of the suite that is named before them."""
    return _begin(_cells(ctx.params.get("suite")), incomplete)


def complete_cells(ctx: typer.Context, incomplete: str) -> list[str]:
    """`complete_cell`, and flows and data sets, which stand for all their cells."""
    cells = _cells(ctx.params.get("suite"))
    groups = [cell[kind] for kind in ("flow", "data") for cell in cells.values()]
    return _begin([*cells, *groups], incomplete)


def complete_flow(incomplete: str) -> list[str]:
    """The flows of ``params.yaml`` that begin like this; a shell then completes paths itself."""
    try:
        return _begin(config.load().flows, incomplete)
    except ConfigError:
        return []


SuiteOption = Annotated[str, typer.Option("--suite", help="The suite of the cells.", autocompletion=complete_suite)]
CellsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CELL|FLOW|DATA",
        help="Cells; a flow or a data set stands for all of its cells.",
        autocompletion=complete_cells,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]


def load_suite(name: str, params: config.Params, *, expanded: bool = False) -> Suite:
    """The suite that an argument names.

    Args:
        expanded: refuse it unless its ``cells.json``, which DVC reads, is what its file asks for.
    """
    load = suites.load_fresh if expanded else suites.load
    if name not in suites.names() and (there := sorted(glob(f"*/{escape(str(suites.source(name)))}"))):
        folder = Path(there[0]).parents[1]
        raise ConfigError(f"argument {name!r}: is a suite of {folder}; run the command in that folder")
    return load(config.known_argument(name, suites.names(), "suite"), params)


def known_cell(name: str, suite: Suite, kind: str = "cell", others: Iterable[str] = ()) -> str:
    """The ``name`` of a cell of the suite, or one of ``others``.

    Raises:
        ConfigError: it is none of these. The message names a suite that has it, or else what is nearest.
    """
    choices = [*suite.cells, *others]
    if name not in choices and (elsewhere := [one for one in suites.names() if name in _cells(one)]):
        raise ConfigError(f"argument {name!r}: is no cell of the suite {suite.name}; say --suite {elsewhere[0]}")
    return config.known_argument(name, choices, f"{kind} of the suite {suite.name}")


def cells_of(suite: Suite, names: Iterable[str]) -> list[str]:
    """The cells that are named, or whose flow or data set is, in the order of the suite.

    Raises:
        ConfigError: a name is none of these.
    """
    groups = {key: {key, cell.flow, cell.data} for key, cell in suite.cells.items()}
    others = sorted(set().union(*groups.values()) - suite.cells.keys())
    wanted = {known_cell(name, suite, "cell, flow or data set", others) for name in names}
    return [key for key, group in groups.items() if group & wanted]


def print_json(document: Any) -> None:
    """Print a document. JSON has no number for what is not finite, so that this becomes null."""
    print(json.dumps(_finite(document), indent=2))


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


def duration(seconds: float) -> str:
    """A time in words, such as ``40 s``, ``7 min`` or ``2 h 5 min``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
