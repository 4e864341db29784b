"""``flowbench verify``: cells made again and compared with the record."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flowbench import config


def verify(
    cells: Annotated[list[str] | None, typer.Argument(help="Cells of any suite.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All cells of the active suite.")] = False,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Relative difference that another machine may make to a metric of a seed.")
    ] = 0.05,
) -> None:
    """Train and measure cells again, in a scratch folder, and compare with the numbers on record.

    On the machine that made the record each is equal, to the last byte; on another it should be within tolerance.
    """
    params = config.load_here()
    if every == bool(cells):
        raise config.ConfigError("verify: name the cells to run again, or say --all")
    keys = list(params.active.all_cells) if every else list(cells or [])
    for key in keys:
        config.known(key, [key for suite in params.suites.values() for key in suite.all_cells], "suites", "cell")
    from subprocess import CalledProcessError

    from flowbench.verify import RecordError
    from flowbench.verify import verify as again

    failures = 0
    for key in keys:
        try:
            found = again(params, key, tolerance)
        except (RecordError, CalledProcessError) as error:
            print(f"{key}: {error}", file=sys.stderr, flush=True)
            failures += 1
            continue
        detail = "" if found.verdict == "equal" else f" (largest difference {found.largest:.2g}, {found.where})"
        print(f"{key}: {found.verdict}{detail}", flush=True)
        failures += found.verdict == "different"
    if failures:
        raise typer.Exit(1)
