"""``flowbench estimate``: what is stale and how long it takes, before anything is run."""

from typing import Annotated

import typer

from flowbench import config
from flowbench.cli import plan
from flowbench.cli.arguments import JsonOption, complete_suite, duration, load_suite, print_json
from flowbench.config import suites


def estimate(
    suite: Annotated[
        str, typer.Argument(help="A suite.", autocompletion=complete_suite, show_default=True)
    ] = suites.DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Say what is stale, and how long it takes to run here.

    Nothing is trained.
    Times are those of the last training of each cell here or, without one, of the suite's report. Only trainings have
    a time on record: starting each stage and measuring come on top. What DVC has in its cache, it may restore instead.
    """
    params = config.load_here()
    found = load_suite(suite, params, expanded=True)
    work = plan.plan(found, params, found.cells)
    stale = {key: one for key, one in work.items() if one.stages}
    cores = plan.cores()
    if as_json:
        known = [one.seconds for one in stale.values() if one.seconds is not None]
        print_json(
            {
                "suite": found.name,
                "cells": len(work),
                "cores": cores,
                "stale": {key: {"stages": one.stages, "train_seconds": one.seconds} for key, one in stale.items()},
                "train_seconds": sum(known),
                "without_a_time": [key for key, one in stale.items() if one.seconds is None],
            }
        )
        return
    for key, one in stale.items():
        seconds = "no time on record" if one.seconds is None else duration(one.seconds) if one.seconds else ""
        print(f"  {key:54} {', '.join(one.stages):16} {seconds}".rstrip())
    if not stale:
        print(f"All {len(work)} cells of the suite {found.name} are up to date.")
        return
    print(
        f"{len(stale)} of the {len(work)} cells of {found.name} are stale: {plan.total(stale.values())} "
        f"on {cores} core{'s' * (cores != 1)}. Measuring has no time on record. Run them with: {found.repro}"
    )
