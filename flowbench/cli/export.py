"""``flowbench export``: a trained flow in a folder of its own."""

from pathlib import Path
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli.arguments import SuiteOption, complete_cell, known_cell, load_suite
from flowbench.config import suites


def export(
    cell: Annotated[
        str,
        typer.Argument(
            metavar="CELL",
            help="A cell that was trained and measured, such as moons-glow.",
            autocompletion=complete_cell,
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or one that holds an older export.")],
    suite: SuiteOption = suites.DEFAULT,
    seed: Annotated[
        int | None, typer.Option(help="Which of its trainings; the one that validated best if left out.")
    ] = None,
) -> None:
    """Write a trained flow to a folder of its own.

    It gets its weights, how to build it, its certificates and a model card.
    flowbench.load("FOLDER") reads it, in any place where flowbench is installed.
    """
    found = load_suite(suite, config.load_here())
    known_cell(cell, found)
    from flowbench.export.writing import export as write

    write(found.results / cell, folder, seed)
    print(f"{folder}: {cell} of {suite}; load it with flowbench.load({str(folder)!r})")
