"""The ``flowbench`` command."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowbench import config

if TYPE_CHECKING:
    from flowbench.core import FlowModule as FlowModule

from flowbench.cli.check import check
from flowbench.cli.verify import verify

app = typer.Typer(
    help="A reproducible benchmark of normalizing flows. Run it with `dvc repro`; read reports/.",
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


@app.command("list")
def list_() -> None:
    """List the flows, data sets, budgets, suites and the cells of each suite."""
    params = config.load_here()
    _section("Flows (flowbench/flows/<name>.py: configurations)")
    for flow, configurations in params.flows.items():
        print(f"  {flow:18} {', '.join(configurations)}")
    _section("Data sets (flowbench/data/<name>.py: options)")
    for name, options in params.data.items():
        print(f"  {name:18} {', '.join(f'{key}={value}' for key, value in options.items())}")
    _section("Budgets")
    for name, budget in params.budgets.items():
        train = budget.train
        print(f"  {name:24} {train.steps} steps of {train.batch_size}, {len(train.seeds)} seeds, on {train.device}")
    for name, suite in params.suites.items():
        active = "  <- active" if suite == params.active else ""
        _section(f"Suite {name}: {suite.about} ({len(suite.all_cells)} cells){active}")
        for key, cell in suite.all_cells.items():
            print(f"  {key:34} {cell.flow}/{cell.config} on {cell.data}, budget {cell.budget}")


@app.command()
def suite(name: Annotated[str, typer.Argument(help="One of the suites in params.yaml.")]) -> None:
    """Make NAME the suite that `dvc repro` runs, by changing one line of params.yaml, and put dvc.lock aside."""
    params = config.load_here()
    config.known(name, params.suites, "suites", "suite")
    from flowbench.records import lock

    # The line alone: a YAML library would lose comments or anchors of the rest.
    replacement = config.PARAMS.with_suffix(".yaml.new")
    try:
        replacement.write_text(
            re.sub(r"(?m)^active:.*$", f"active: *{name}", config.PARAMS.read_text(encoding="utf-8")), encoding="utf-8"
        )
        if _active(replacement) != name:
            raise config.ConfigError(
                f"{config.PARAMS}: active: cannot become *{name}: the key must stand on one line, and the anchor be "
                f"&{name}"
            )
        lock.switch(params.suites[name], params.suites.values())
        replacement.replace(config.PARAMS)
    finally:
        replacement.unlink(missing_ok=True)
    print(f"{name}: {params.suites[name].about}. Now run: dvc repro")


@app.command()
def digest() -> None:
    """Print the SHA-256 of what dvc.lock says of the active suite, which its report carries."""
    from flowbench.records import lock

    active = config.load_here().active
    if not (found := lock.digest(active)):
        raise config.ConfigError(f"{lock.LOCK}: has no cell of the suite {active.name}; make them with: dvc repro")
    print(found)


def _active(path: Path) -> str:
    """The suite that a configuration names as active; empty if there is a mistake in it."""
    try:
        return config.load(path).active.name
    except config.ConfigError:
        return ""


app.command()(check)
app.command()(verify)


def _section(title: str) -> None:
    print(f"\n{title}")


def main() -> None:
    """Run the command; a mistake in ``params.yaml`` or in a name, or a file's, ends it with one line and status 2."""
    try:
        app()
    except (config.ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
