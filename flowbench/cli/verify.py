"""``flowbench verify``: cells made again and compared with the record."""

import sys
from typing import Annotated

import typer

from flowbench import config
from flowbench.config import suites


def verify(
    cells: Annotated[list[str] | None, typer.Argument(metavar="[CELL]...", show_default=False)] = None,
    suite: Annotated[str, typer.Option(help="The suite of the cells.")] = suites.DEFAULT,
    every: Annotated[bool, typer.Option("--all", help="All cells of the suite.")] = False,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Relative difference that another machine may make to a metric of a seed.")
    ] = 0.05,
) -> None:
    """Train and measure cells again, in a scratch folder, and compare with the numbers on record.

    On the machine that made the record each is equal, to the last byte; on another it should be within tolerance.
    Files of the cell that are not those on record are named.
    """
    params = config.load_here()
    config.known_argument(suite, suites.names(), "suite")
    found = suites.load(suite, params)
    if every == bool(cells):
        raise config.ConfigError("verify: name the cells to run again, or say --all")
    keys = list(found.cells) if every else list(cells or [])
    for key in keys:
        config.known_argument(key, found.cells, f"cell of the suite {suite}")
    from subprocess import CalledProcessError

    from flowbench.records.files import RecordError
    from flowbench.verify import verify as again

    failures = 0
    for key in keys:
        try:
            result = again(found, key, tolerance)
        except (RecordError, CalledProcessError) as error:
            print(f"{key}: {error}", file=sys.stderr, flush=True)
            failures += 1
            continue
        detail = "" if result.agreement == "equal" else f" (largest difference {result.largest:.2g}, {result.where})"
        print(f"{key}: {result.agreement}{detail}", flush=True)
        failures += result.agreement == "different"
    if failures:
        raise typer.Exit(1)
