"""``flowbench tune``: learning rates and steps, tried with equal effort for each flow."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbench import config
from flowbench.cli.arguments import CellsArgument, cells_of, complete_suite, duration, load_suite


def tune(
    suite: Annotated[str, typer.Argument(help="A suite, whose data sets are made.", autocompletion=complete_suite)],
    names: CellsArgument,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings for each number of steps.")] = 3,
) -> None:
    """Try learning rates and steps, and write what the validation split says of them.

    Each flow is tried with the same rates, one training each. With the best of them it is then trained for a quarter,
    a half, all and twice the steps of its budget. The file suites/SUITE.trials.csv gets a row for each trial; what it
    holds is not tried again. Nothing is chosen: params.yaml stays yours to edit.
    """
    found = load_suite(suite, config.load_here())
    keys = cells_of(found, names)
    from flowbench import tuning  # torch
    from flowbench.records.tuning import Trial

    def say(trial: Trial) -> None:
        print(
            f"{trial.cell}: learning rate {trial.learning_rate:g}, {trial.steps:,} steps, seed {trial.seed}: "
            f"loss {trial.loss:.4f} after {duration(trial.seconds)}",
            flush=True,
        )

    tuning.search(found, keys, seeds=seeds, say=say)
    print(f"{found.trials}: the trials of {len(keys)} cells")
