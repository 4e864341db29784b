"""One script per DVC stage; run as ``python -m stages.<name>`` from the repository's root."""

import sys
from collections.abc import Callable

import typer

from flowbench.config import ConfigError


def run(main: Callable[..., None]) -> None:
    """Run a stage on the command line's arguments; a mistake in ``params.yaml`` ends it with one line and status 2."""
    # A defect of ours shows the plain traceback, which a log file can hold.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
