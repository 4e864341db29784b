"""``flowbench list`` and ``flowbench digest``: what there is, and what is on record."""

import sys
from typing import Annotated, Any

import typer

from flowbench import config
from flowbench.cli.arguments import JsonOption, complete_suite, print_json
from flowbench.config import Suite, suites


def list_(as_json: JsonOption = False) -> None:
    """List flows, data sets, budgets, suites and their cells."""
    params = config.load_here()
    found, failed = _suites(params)
    if as_json:
        shared = {name: part for name, part in params.model_dump().items() if name != "budgets"}
        budgets = {name: budget.train.steps for name, budget in params.budgets.items()}
        print_json(shared | {"steps": budgets, "suites": {suite.name: _document(suite) for suite in found}})
    else:
        _print(params, found)
    if failed:
        raise typer.Exit(2)


def _suites(params: config.Params) -> tuple[list[Suite], bool]:
    """The suites, and whether there are others with mistakes, which are told of."""
    found, failed = [], False
    for name in suites.names():
        try:
            found.append(suites.load(name, params))
        except config.ConfigError as error:
            print(error, file=sys.stderr)
            failed = True
    return found, failed


def _document(suite: Suite) -> dict[str, Any]:
    cells = {key: cell.model_dump(exclude_none=True) for key, cell in suite.cells.items()}
    return {"about": suite.about, "repro": suite.repro, "cells": cells}


def _print(params: config.Params, found: list[Suite]) -> None:
    print("\nFlows (flowbench/flows/<name>.py: configurations)")
    for flow, configurations in params.flows.items():
        print(f"  {flow:18} {', '.join(configurations)}")
    print("\nData sets (flowbench/data/<name>.py: options)")
    for name, options in params.data.items():
        print(f"  {name:26} {', '.join(f'{key}={value}' for key, value in options.items())}")
    print("\nBudgets")
    for name, budget in params.budgets.items():
        print(f"  {name:34} {budget.train.steps} steps of {budget.train.batch_size}")
    for suite in found:
        print(f"\nSuite {suite.name}: {suite.about} ({len(suite.cells)} cells). Run it with: {suite.repro}")
        for key, cell in suite.cells.items():
            teacher = f", taught by {cell.teacher}" if cell.teacher else ""
            print(f"  {key:54} {cell.flow}/{cell.config}, budget {cell.budget}{teacher}")


def digest(
    name: Annotated[
        str, typer.Argument(metavar="[SUITE]", help="A suite.", autocompletion=complete_suite)
    ] = suites.DEFAULT,
) -> None:
    """Print the SHA-256 of what the locks say of a suite.

    The suite's report carries it.
    """
    from flowbench.records import lock

    config.known_argument(name, suites.names(), "suite")
    suite = suites.load(name, config.load_here())
    if not (found := lock.lock_digest(suite)):
        raise config.ConfigError(
            f"{lock.path_of(suite)}: has no cell of the suite {name}; make them with: {suite.repro}"
        )
    print(found)
