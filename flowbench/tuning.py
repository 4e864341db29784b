"""A search for learning rates that takes equal effort for each flow, and the curve of score against steps.

As in AlgoPerf (Dahl et al. 2023, 2306.07179, section 4), each flow gets as many trials as every other, and only the
validation split judges. Here the grid of rates is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from flowbench.cell import Cell
from flowbench.config import Suite, TrainBudget, suites
from flowbench.core import FittedModel
from flowbench.records import tuning
from flowbench.records.tuning import Trial
from flowbench.runtime.processes import for_each_seed
from flowbench.runtime.seeding import seeded
from flowbench.training.cell import CellTraining
from flowbench.training.loop import train

# The learning rates that each flow is tried with, at the steps of its budget.
RATES = (0.001, 0.002, 0.004, 0.008, 0.016)
# The steps that each flow is then tried with, at the best rate, as shares of its budget's.
SHARES = (0.25, 0.5, 1.0, 2.0)
# The suites' own seeds are below.
_FIRST_SEED = 1000

Wanted = tuple[str, float, int, int]  # a trial's identity


def search(
    suite: Suite,
    keys: Iterable[str],
    *,
    rates: Sequence[float] = RATES,
    shares: Sequence[float] = SHARES,
    seeds: int = 3,
    say: Callable[[Trial], None] = lambda trial: None,
    root: Path = Path(),
) -> list[Trial]:
    """Try each cell with each rate and one seed, then with each share of its steps, the best rate and several seeds.

    What the suite's file of trials holds already is not tried again. Baselines are left out, and flows that learn from
    a trained one. A training that may end early, by its patience, is tried with the steps of its budget alone.

    Args:
        suite: of the cells, whose data sets are made.
        keys: of the cells.
        rates: the learning rates.
        shares: of the budget's steps.
        seeds: how many, of the second part.
        say: is told of each trial when it ends.

    Returns:
        All trials of the file, of these cells and of others.
    """
    path = root / suite.trials
    cells = {key: Cell.resolve(suite.name, key, root) for key in keys}
    cells = {
        key: cell
        for key, cell in cells.items()
        if not cell.names.teacher and not isinstance(cell.build(0), FittedModel)
    }
    found = {trial.identity: trial for trial in tuning.read(path)}

    def run(wanted: Iterable[Wanted]) -> None:
        missing = [identity for identity in dict.fromkeys(wanted) if identity not in found]
        for key in cells:
            of_cell = [identity for identity in missing if identity[0] == key]
            for trial in _trials(cells[key], of_cell):
                found[trial.identity] = trial
                say(trial)
            if of_cell:
                tuning.write(path, found.values())
                suites.write(suite, root)  # a first file of trials is a new dependency of the report

    def steps(cell: Cell, share: float) -> int:
        return max(1, round(cell.train.steps * share))

    run((key, rate, steps(cell, 1.0), _FIRST_SEED) for (key, cell), rate in product(cells.items(), rates))
    chosen = {key: best_rate(found.values(), key, cell.train.steps) for key, cell in cells.items()}
    run(
        (key, chosen[key], steps(cell, share), _FIRST_SEED + i)
        for (key, cell), share, i in product(cells.items(), shares, range(seeds))
        if cell.train.patience is None
    )
    return list(found.values())


def best_rate(trials: Iterable[Trial], cell: str, steps: int) -> float:
    """The learning rate of a cell whose loss on the validation split was lowest, of the first seed's trials.

    Of rates that all diverged, the lowest.
    """
    of_cell = [t for t in trials if (t.cell, t.steps, t.seed) == (cell, steps, _FIRST_SEED)]
    return min(of_cell, key=lambda trial: (trial.loss, trial.learning_rate)).learning_rate


def _scaled(budget: TrainBudget, steps: int) -> TrainBudget:
    """A budget of other steps, with warm-up and annealing as long in proportion."""
    share = steps / budget.steps
    warmup, anneal = round(budget.warmup_steps * share), max(1, round(budget.anneal_steps * share))
    return budget.model_copy(update={"steps": steps, "warmup_steps": warmup, "anneal_steps": anneal})


def _trials(cell: Cell, wanted: Sequence[Wanted]) -> Iterable[Trial]:
    """Train a cell as each of the trials asks, several at a time."""

    def one(number: int) -> tuple[float, float]:
        _, rate, steps, seed = wanted[number]
        budget = _scaled(cell.train, steps).model_copy(update={"learning_rate": rate})
        trial = replace(cell, train=budget)
        model = trial.build(seed).to(trial.device)
        with seeded(trial.seed(seed, "training")):
            outcome = train(model, CellTraining(trial).objective(model, seed), budget, title=f"{cell.key} {rate:g}")
        return outcome.best_validation_loss if outcome.status == "finished" else math.inf, outcome.seconds

    done = for_each_seed(one, range(len(wanted)), cell.device, cell.train.threads) if wanted else {}
    return [Trial(*wanted[number], *result) for number, result in done.items()]
