"""What other learning rates and more steps bring, by the trials that `flowbench tune` made."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from flowbench.records.tuning import Trial
from flowbench.report.frame import CellResult
from flowbench.report.judgement.estimates import Estimate, estimate
from flowbench.report.views import numbers, series
from flowbench.report.views.scope import Scope
from flowbench.report.views.tables import Entry, Table, of_cells
from flowbench.report.views.text import say


def tables(scope: Scope, trials: Iterable[Trial]) -> list[Table]:
    """The lowest validation losses of the cells on one data set, by the learning rate and by the steps."""
    of_cell = defaultdict(list)
    for trial in trials:
        of_cell[trial.cell].append(trial)
    shown = scope.only(lambda cell: cell.key in of_cell)
    if not shown.cells:
        return []
    return [_rates(shown, of_cell), _steps(shown, of_cell)]


def _rates(scope: Scope, trials: dict[str, list[Trial]]) -> Table:
    """One training for each rate, at the steps of the budget."""
    tried = {cell.key: _by_rate(trials[cell.key]) for cell in scope.cells}
    rates = sorted({rate for losses in tried.values() for rate in losses})

    def entry(cell: CellResult, rate: float) -> Entry:
        losses = tried[cell.key]
        if rate not in losses:
            return Entry("–")
        size = series.loss_unit(scope, cell)[1]
        best = losses[rate] == min(losses.values())
        return Entry(numbers.significant(losses[rate] / size), losses[rate] / size, "best" if best else "")

    columns = {f"{rate:g}": [entry(cell, rate) for cell in scope.cells] for rate in rates}
    columns["in use"] = [Entry(f"{_rate(cell):g}", _rate(cell)) for cell in scope.cells]
    columns["unit"] = [Entry(series.loss_unit(scope, cell)[0]) for cell in scope.cells]
    return of_cells(say("rates"), scope, columns)


def _steps(scope: Scope, trials: dict[str, list[Trial]]) -> Table:
    """The mean of several trainings for each number of steps, and whether twice the budget would change it."""
    found = {cell.key: _by_share(scope, trials[cell.key], cell) for cell in scope.cells}
    shares = sorted({share for of_share in found.values() for share in of_share})

    def entry(cell: CellResult, share: float) -> Entry:
        e = found[cell.key].get(share)
        return Entry(numbers.spread(e, count=False), e.value) if e else Entry("–")

    columns = {f"{share:g} × steps": [entry(cell, share) for cell in scope.cells] for share in shares}
    columns["more steps help"] = [Entry(_helps(found[cell.key])) for cell in scope.cells]
    return of_cells(say("steps"), scope, columns)


def _by_rate(trials: list[Trial]) -> dict[float, float]:
    """Losses of the first seed by the learning rate, which all flows were tried with alike."""
    first = min(trial.seed for trial in trials)
    by_steps: dict[int, dict[float, float]] = defaultdict(dict)
    for trial in (trial for trial in trials if trial.seed == first):
        by_steps[trial.steps][trial.learning_rate] = trial.loss
    return max(by_steps.values(), key=len)  # rates are tried at one number of steps, and the others with one rate


def _by_share(scope: Scope, trials: list[Trial], cell: CellResult) -> dict[float, Estimate]:
    """The losses over the seeds at the rate that was tried with several, by the share of the budget's steps."""
    steps, size = cell.params["budget"]["steps"], series.loss_unit(scope, cell)[1]
    first = min(trial.seed for trial in trials)
    later = {trial.learning_rate for trial in trials if trial.seed != first}
    losses = defaultdict(list)
    for trial in trials:
        if trial.learning_rate in later and math.isfinite(trial.loss):
            losses[trial.steps / steps].append(trial.loss / size)
    return {share: estimate(values) for share, values in losses.items()}


def _rate(cell: CellResult) -> float:
    return float(cell.params["budget"]["learning_rate"])


def _helps(by_share: dict[float, Estimate]) -> str:
    """Whether the most steps give a mean that lies outside the interval of the budget's."""
    now, most = by_share.get(1.0), by_share.get(max(by_share, default=1.0))
    if now is None or most is None or most is now or not now.known:
        return "–"
    return "no" if most.value >= now.low else f"by {numbers.significant(now.value - most.value, 2)}"
