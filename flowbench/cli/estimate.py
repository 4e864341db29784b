"""``flowbench estimate``: what is stale and how long it takes, before anything is run."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated

import typer

from flowbench import config
from flowbench.cli import plan
from flowbench.cli.arguments import JsonOption, complete_suite, load_suite, print_json
from flowbench.config import suites

# More stale cells than these are told of by data set or flow.
_MOST_LINES = 12


def estimate(
    suite: Annotated[
        str, typer.Argument(help="A suite.", autocompletion=complete_suite, show_default=True)
    ] = suites.DEFAULT,
    cells: Annotated[bool, typer.Option("--cells", help="Show each cell, however many are stale.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is stale, and how long it takes to run here.

    Nothing is trained.
    Times are those of the last run of each cell here or, without one, of the suite's report. A cell without a time
    borrows it from a cell of another suite with the same data, flow and configuration; its training counts by the
    steps of both budgets. Starting the stages and the report come on top. What DVC has in its cache, it may restore
    instead.
    """
    params = config.load_here()
    found = load_suite(suite, params, expanded=True)
    work = plan.plan(found, params, found.cells)
    stale = {key: one for key, one in work.items() if one.stages}
    cores = plan.cores()
    if as_json:
        print_json(
            {
                "suite": found.name,
                "cells": len(work),
                "cores": cores,
                "stale": {
                    key: {
                        "stages": one.stages,
                        "train_seconds": one.training,
                        "evaluate_seconds": one.measuring,
                        "borrowed": one.borrowed,
                    }
                    for key, one in stale.items()
                },
                "train_seconds": sum(one.training or 0.0 for one in stale.values()),
                "evaluate_seconds": sum(one.measuring or 0.0 for one in stale.values()),
                "without_a_time": [key for key, one in stale.items() if one.training is None],
                "borrowed": [key for key, one in stale.items() if one.borrowed],
            }
        )
        return
    if not stale:
        print(f"All {len(work)} cells of the suite {found.name} are up to date.")
        return
    if cells or len(stale) <= _MOST_LINES:
        for key, one in stale.items():
            print(f"  {key:54} {', '.join(one.stages):16} {_times([one])}")
    else:
        for name, group in _groups(found, stale).items():
            print(f"  {name:26} {len(group):3} cell{'s' if len(group) != 1 else ' '}  {_times(group)}")
    print(
        f"{len(stale)} of the {len(work)} cells of {found.name} are stale: {plan.total(stale.values())}, "
        f"on {cores} core{'s' * (cores != 1)}. Run them with: {found.repro}"
    )


def _groups(suite: suites.Suite, stale: Mapping[str, plan.Work]) -> dict[str, list[plan.Work]]:
    """The work by data set or by flow, whichever makes fewer groups."""
    by: dict[str, dict[str, list[plan.Work]]] = {"data": defaultdict(list), "flow": defaultdict(list)}
    for key, one in stale.items():
        for kind, groups in by.items():
            groups[getattr(suite.cells[key], kind)].append(one)
    return min(by.values(), key=len)


def _times(work: list[plan.Work]) -> str:
    borrowed = dict.fromkeys(name for one in work for name in one.borrowed)
    return plan.total(work) + (f" (by the suite {' and '.join(borrowed)})" if borrowed else "")
