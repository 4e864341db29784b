"""``flowbench report``: a report as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli.arguments import complete_suite
from flowbench.config import suites


def report(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Whose report it is.", autocompletion=complete_suite)],
    single_file: Annotated[Path, typer.Option(help="Where the page goes, with its figures and scripts in it.")],
) -> None:
    """Write the page of a report as one file, to send or keep.

    `dvc repro` makes the report itself.
    """
    params = config.load_here()
    config.known_argument(suite, suites.names(), "suite")
    folder = Path("reports", suite)
    if not (folder / "index.html").is_file():
        raise config.ConfigError(f"{folder}: there is no report yet; run {suites.load(suite, params).repro}")
    from flowbench.report.views import page

    single_file.write_text(page.single_file(folder), encoding="utf-8")
