"""``flowbench verify``: cells made again and compared with the record."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from flowbench import config
from flowbench.cli.arguments import JsonOption, SuiteOption, complete_cell, known_cell, load_suite, print_json
from flowbench.config import suites


def verify(
    cells: Annotated[
        list[str] | None, typer.Argument(metavar="CELL", show_default=False, autocompletion=complete_cell)
    ] = None,
    suite: SuiteOption = suites.DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="All cells of the suite.")] = False,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Relative difference that another machine may make to a metric of a seed.")
    ] = 0.05,
    as_json: JsonOption = False,
) -> None:
    """Make cells again and compare them with the record.

    They are trained and measured in a scratch folder.
    On the machine that made the record each is equal, to the last byte; on another it should be within tolerance.
    Files of the cell that are not those on record are named.
    """
    params = config.load_here()
    found = load_suite(suite, params)
    if every == bool(cells):
        raise config.ConfigError("verify: name the cells to run again, or say --all")
    keys = list(found.cells) if every else list(cells or [])
    for key in keys:
        known_cell(key, found)
    from subprocess import CalledProcessError

    from flowbench.records.errors import RecordError
    from flowbench.verify import verify as again

    rows: list[dict[str, Any]] = []
    for key in keys:
        try:
            result = again(found, key, tolerance)
        except (RecordError, CalledProcessError) as error:
            print(f"{key}: {error}", file=sys.stderr, flush=True)
            rows.append({"cell": key, "agreement": "not verified", "reason": str(error)})
            continue
        rows.append({"cell": key} | asdict(result))
        if as_json:
            continue
        detail = "" if result.agreement == "equal" else f" (largest difference {result.largest:.2g}, {result.where})"
        print(f"{key}: {result.agreement}{detail}", flush=True)
    if as_json:
        print_json(rows)
    if any(row["agreement"] in ("different", "not verified") for row in rows):
        raise typer.Exit(1)
