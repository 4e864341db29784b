"""The ``flowbench`` command."""

import os
import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer

from flowbench.config import ConfigError
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

# Of each command the module, what it has there, and the examples of its help.
_COMMANDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "list": ("listing", "list_", ("list", "list --json")),
    "run": ("run", "run", ("run moons-glow", "run glow moons --suite toy", "run --all --suite smoke")),
    "sweep": ("sweep", "sweep", ("sweep", "sweep toy tables --workers 4", "sweep toy --dry-run")),
    "estimate": ("estimate", "estimate", ("estimate", "estimate toy --cells", "estimate toy --json")),
    "check": ("check", "check", ("check glow", "check my/flow.py --options '{layers: 4}'", "check --json")),
    "tune": ("tune", "tune", ("tune toy moons", "tune toy moons-glow --seeds 1")),
    "verify": ("verify", "verify", ("verify moons-glow", "verify --all --suite smoke --json")),
    "compare": ("compare", "compare", ("compare HEAD~3", "compare v0.1 v0.2 --suite toy --metric bits_per_dim")),
    "open": ("open", "open_", ("open", "open toy", "open mlflow --port 5001")),
    "export": ("export", "export", ("export moons-glow my-folder", "export digits-maf my-folder --seed 0")),
    "pull": ("pull", "pull", ("pull moons-glow", "pull glow --suite toy")),
    "bench": (
        "bench",
        "bench",
        ("bench mine.csv", "bench mine.csv --flows maf,realnvp --minutes 5 --dequantise age"),
    ),
    "new": ("new", "app", ("new flow mine", "new data rings")),
    "expand": ("expand", "expand", ("expand", "expand toy", "expand --check")),
    "digest": ("listing", "digest", ("digest", "digest toy")),
    "report": ("report", "report", ("report laptop --single-file laptop.html",)),
    "doctor": ("doctor", "doctor", ("doctor", "doctor --json")),
}


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"flowbench {version('normalizing-flow-benchmark')}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version, and end.")
    ] = False,
) -> None:
    """What may stand before a command."""


@cache
def application(only: str = "") -> typer.Typer:
    """The command with all that it can do, or with one of its commands alone, which starts sooner."""
    made = typer.Typer(
        help="A reproducible benchmark of normalizing flows. Run it with `dvc repro` and read reports/.",
        epilog=_STATUS,
        callback=_options,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text, whose import takes no time
    )
    for name in [only] if only else _COMMANDS:
        module, member, examples = _COMMANDS[name]
        command: Any = getattr(import_module(f"{__name__}.{module}"), member)
        epilog = "\n".join(["\b", "Examples:", *(f"  flowbench {example}" for example in examples)])
        if isinstance(command, typer.Typer):
            made.add_typer(command, name=name, epilog=epilog)
        else:
            made.command(name, epilog=epilog)(command)
    return made


def __getattr__(name: str) -> typer.Typer:
    if name == "app":
        return application()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> None:
    """Run the command. A mistake in a configuration, a name or a file ends it with one line and status 2."""
    try:
        try:
            application(sys.argv[1] if sys.argv[1:] and sys.argv[1] in _COMMANDS else "")()
        finally:
            sys.stdout.flush()  # a reader that has gone, such as `head`, is noticed here and not while Python ends
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (ConfigError, ExpectedError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
