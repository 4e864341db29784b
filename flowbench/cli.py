"""The ``flowbench`` command."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowbench import config

if TYPE_CHECKING:
    from flowbench.core import FlowModule

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
    params = _load()
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
    params = _load()
    config.known(name, params.suites, "suites", "suite")
    from flowbench import lock

    # The line alone: a YAML library would lose comments or anchors of the rest.
    replacement = config.PARAMS.with_suffix(".yaml.new")
    try:
        replacement.write_text(re.sub(r"(?m)^active:.*$", f"active: *{name}", config.PARAMS.read_text()))
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
def check(
    name: Annotated[str | None, typer.Argument(help="A flow or a layer; all of both if left out.")] = None,
    points: Annotated[int, typer.Option(min=1, help="Random points that each is checked at.")] = 8,
) -> None:
    """Check inverses and log-determinants against autograd, in float64 and at random parameters."""
    params = _load()
    from flowbench import layers
    from flowbench.evaluation import certify

    if name:
        config.known(name, [*params.flows, *layers.names()], "flows", "flow or layer")
    checked = failures = 0
    for checked, (subject, module, shape) in enumerate(_subjects(params, name), start=1):
        if checked == 1:
            print(f"{'':44}{'round trip':>12}{'log-det.':>12}")
        result = certify.certify(module, shape, points=points)
        verdict = "ok" if certify.passes(result) else "FAILED"
        failures += verdict != "ok"
        print(f"{subject:44}{result.round_trip_error:12.1e}{result.logdet_error:12.1e}  {verdict}", flush=True)
    if not checked:
        if not any(cell.flow == name for suite in params.suites.values() for cell in suite.all_cells.values()):
            raise config.ConfigError(f"{config.PARAMS}: nothing to check: no cell of any suite uses {name}")
        print(f"{name} is a baseline: it has no map whose inverse could be checked.")
        return
    print(f"\nTolerated: {certify.LARGEST_ROUND_TRIP_ERROR:g} and {certify.LARGEST_LOGDET_ERROR:g} nats.")
    if failures:
        raise typer.Exit(1)


@app.command()
def digest() -> None:
    """Print the SHA-256 of what dvc.lock says of the active suite, which its report carries."""
    from flowbench import lock

    active = _load().active
    if not (found := lock.digest(active)):
        raise config.ConfigError(f"{lock.LOCK}: has no cell of the suite {active.name}; make them with: dvc repro")
    print(found)


@app.command()
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
    params = _load()
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


def _subjects(params: config.Params, name: str | None) -> Iterator[tuple[str, FlowModule, tuple[int, ...]]]:
    """What is certified under a name, which may be that of a layer, of a flow, or of both."""
    from flowbench import layers
    from flowbench.core import seeded
    from flowbench.evaluation import certify

    if name in layers.names():
        with seeded(0):
            examples = list(layers.examples())
        yield from (example for example in examples if example[0].startswith(f"{name}: "))
    if name is None or name in params.flows:
        yield from certify.subjects(params, name)


def _active(path: Path) -> str:
    """The suite that a configuration names as active; empty if there is a mistake in it."""
    try:
        return config.load(path).active.name
    except config.ConfigError:
        return ""


def _load() -> config.Params:
    if not config.PARAMS.is_file():
        raise config.ConfigError(f"{config.PARAMS}: is not in this folder; run it in the repository's root")
    return config.load()


def _section(title: str) -> None:
    print(f"\n{title}")


def main() -> None:
    """Run the command; a mistake in ``params.yaml`` or in a name, or a file's, ends it with one line and status 2."""
    try:
        app()
    except (config.ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
