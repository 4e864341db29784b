"""The ``flowbench`` command."""

import os
import sys
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli import new
from flowbench.cli.bench import bench
from flowbench.cli.check import check
from flowbench.cli.compare import compare
from flowbench.cli.doctor import doctor
from flowbench.cli.estimate import estimate
from flowbench.cli.expand import expand
from flowbench.cli.export import export
from flowbench.cli.listing import digest, list_
from flowbench.cli.open import open_
from flowbench.cli.pull import pull
from flowbench.cli.report import report
from flowbench.cli.run import run
from flowbench.cli.verify import verify
from flowbench.runtime.errors import ExpectedError

# A line of its own for each line: `\b` keeps the text from being filled.
_STATUS = """\b
Exit status:
  0    done
  1    a check, a comparison or a stage failed
  2    a mistake in a name, a file or the configuration
  130  ended by Ctrl-C

Messages have no colours. `flowbench COMMAND --help` shows examples.
"""

app = typer.Typer(
    help="A reproducible benchmark of normalizing flows. Run it with `dvc repro` and read reports/.",
    epilog=_STATUS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, whose import takes no time
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


def _examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n".join(["\b", "Examples:", *(f"  flowbench {command}" for command in commands)])


app.command("list", epilog=_examples("list", "list --json"))(list_)
app.command(epilog=_examples("run moons-glow", "run glow moons --suite toy", "run --all --suite smoke"))(run)
app.command(epilog=_examples("estimate", "estimate toy --json"))(estimate)
app.command(epilog=_examples("check glow", "check my/radial.py --options '{layers: 4}'", "check --json"))(check)
app.command(epilog=_examples("verify moons-glow", "verify --all --suite smoke --json"))(verify)
app.command(epilog=_examples("compare HEAD~3", "compare v0.1 v0.2 --suite toy --metric bits_per_dim"))(compare)
app.command("open", epilog=_examples("open", "open toy", "open mlflow --port 5001"))(open_)
app.command(epilog=_examples("export moons-glow my-folder", "export digits-maf my-folder --seed 0"))(export)
app.command(epilog=_examples("pull moons-glow", "pull glow --suite toy"))(pull)
app.command(epilog=_examples("bench mine.csv", "bench mine.csv --flows maf,realnvp --minutes 5 --dequantise age"))(
    bench
)
app.add_typer(new.app, name="new", epilog=_examples("new flow radial", "new data rings"))
app.command(epilog=_examples("expand", "expand toy", "expand --check"))(expand)
app.command(epilog=_examples("digest", "digest toy"))(digest)
app.command(epilog=_examples("report laptop --single-file laptop.html"))(report)
app.command(epilog=_examples("doctor", "doctor --json"))(doctor)


def main() -> None:
    """Run the command. A mistake in a configuration, a name or a file ends it with one line and status 2."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # a reader that has gone, such as `head`, is noticed here and not while Python ends
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (config.ConfigError, ExpectedError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
