"""The ``flowbench`` command."""

import sys
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli.bench import bench
from flowbench.cli.check import check
from flowbench.cli.compare import compare
from flowbench.cli.expand import expand
from flowbench.cli.export import export
from flowbench.cli.listing import digest, list_
from flowbench.cli.report import report
from flowbench.cli.verify import verify
from flowbench.runtime.errors import ExpectedError

app = typer.Typer(
    help="A reproducible benchmark of normalizing flows. Run it with `dvc repro` and read reports/.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"flowbench {version('normalizing-flow-benchmark')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version, and end.")
    ] = False,
) -> None:
    """What may stand before a command."""


app.command("list")(list_)
app.command()(expand)
app.command()(check)
app.command()(verify)
app.command()(compare)
app.command()(digest)
app.command()(report)
app.command()(export)
app.command()(bench)


def main() -> None:
    """Run the command. A mistake in a configuration, a name or a file ends it with one line and status 2."""
    try:
        app()
    except (config.ConfigError, ExpectedError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
