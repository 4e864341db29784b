"""``flowbench list`` and ``flowbench digest``: what there is, and what is on record."""

import sys
from typing import Annotated

import typer

from flowbench import config
from flowbench.config import suites


def list_() -> None:
    """List the flows, data sets, budgets, suites and the cells of each suite."""
    params = config.load_here()
    print("\nFlows (flowbench/flows/<name>.py: configurations)")
    for flow, configurations in params.flows.items():
        print(f"  {flow:18} {', '.join(configurations)}")
    print("\nData sets (flowbench/data/<name>.py: options)")
    for name, options in params.data.items():
        print(f"  {name:26} {', '.join(f'{key}={value}' for key, value in options.items())}")
    print("\nBudgets")
    for name, budget in params.budgets.items():
        print(f"  {name:34} {budget.train.steps} steps of {budget.train.batch_size}")
    failed = False
    for name in suites.names():
        try:
            suite = suites.load(name, params)
        except config.ConfigError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        print(f"\nSuite {name}: {suite.about} ({len(suite.cells)} cells). Run it with: {suite.repro}")
        for key, cell in suite.cells.items():
            teacher = f", taught by {cell.teacher}" if cell.teacher else ""
            print(f"  {key:54} {cell.flow}/{cell.config}, budget {cell.budget}{teacher}")
    if failed:
        raise typer.Exit(2)


def digest(
    name: Annotated[str, typer.Argument(metavar="SUITE", help="A suite.")] = suites.DEFAULT,
) -> None:
    """Print the SHA-256 of what the locks say of a suite, which its report carries."""
    from flowbench.records import lock

    config.known_argument(name, suites.names(), "suite")
    suite = suites.load(name, config.load_here())
    if not (found := lock.lock_digest(suite)):
        raise config.ConfigError(
            f"{lock.path_of(suite)}: has no cell of the suite {name}; make them with: {suite.repro}"
        )
    print(found)
