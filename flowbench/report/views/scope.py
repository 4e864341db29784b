"""The cells that a part of the page is about, with all that is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement.answers import COSTS, cost_verdict
from flowbench.report.judgement.certification import Certificate
from flowbench.report.judgement.comparisons import ranking_metric
from flowbench.report.judgement.estimates import Estimates
from flowbench.report.judgement.verdict import Verdict, verdict
from flowbench.report.views import numbers
from flowbench.report.views.text import say


@dataclass(frozen=True)
class Scope:
    """Some cells of a suite.

    Attributes:
        cells: in the order of the suite.
        whole: the frame of all cells of the suite.
        estimates, certificates: of all cells of the suite.
    """

    cells: list[CellResult]
    whole: pd.DataFrame
    estimates: Estimates
    certificates: Mapping[str, Certificate]
    _verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)

    def only(self, condition: Callable[[CellResult], bool]) -> Scope:
        """The cells for which a condition holds."""
        return replace(self, cells=[cell for cell in self.cells if condition(cell)])

    def having(self, *metrics: str) -> Scope:
        """The cells that have any of some metrics."""
        return self.only(lambda cell: any(self.has(cell, metric) for metric in metrics))

    @cached_property
    def by_data(self) -> dict[str, Scope]:
        """The cells of each data set."""
        groups = grouped(self.cells, lambda cell: cell.data)
        return {data: replace(self, cells=cells) for data, cells in groups.items()}

    @cached_property
    def by_key(self) -> dict[str, CellResult]:
        return {cell.key: cell for cell in self.cells}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows of the cells."""
        return self.whole[self.whole["cell"].isin(self.by_key)]

    @cached_property
    def quality(self) -> str:
        """What the cells, which must be on one data set, are ranked by."""
        return ranking_metric(self.frame)

    def verdict(self, metric: str = "") -> Verdict:
        """What a metric, or that of quality, says of the cells, which must be all those on one data set.

        A cost ranks the flows whose density is good, and no others.
        """
        wanted = (self.cells[0].data, metric or self.quality)
        if wanted not in self._verdicts:
            if metric in COSTS.values():
                found = cost_verdict(self.frame, self.cells, metric, self.verdict(), self.certificates)
            else:
                found = verdict(self.frame, self.cells, wanted[1], self.certificates)
            self._verdicts[wanted] = found
        return self._verdicts[wanted]

    def has(self, cell: CellResult, metric: str) -> bool:
        """Whether a seed of a cell that finished has a metric."""
        return self.estimates.get(cell.key, metric) is not None

    def measured(self, metric: str) -> bool:
        """Whether any cell has a metric."""
        return any(self.has(cell, metric) for cell in self.cells)

    def value(self, cell: CellResult, metric: str) -> float | None:
        """A metric of a cell as one number."""
        return self.estimates.value(cell.key, metric)

    def first(self, metric: str) -> float | None:
        """A metric that is the same for all cells that have it."""
        return next((value for cell in self.cells if (value := self.value(cell, metric)) is not None), None)

    def written(self, cell: CellResult, metric: str) -> str:
        """A metric of a cell as the catalogue has it written."""
        return numbers.written(self.estimates.get(cell.key, metric), METRICS[metric].form, count=not self.single)

    def labels(self, keys: Iterable[str]) -> list[str]:
        """What the rows of cells are called."""
        return [self.by_key[key].label for key in keys]

    @property
    def better_baselines(self) -> list[str]:
        """The baselines with a better mean than every flow that can be best, the best first; of one data set."""
        return self.labels(key for key in self.ahead() if self.by_key[key].baseline)

    def ahead(self) -> list[str]:
        """The cells with a better mean than the best flow: baselines, and flows that cannot be best; the best first."""
        gaps = self.verdict().gaps
        return sorted((key for key, gap in gaps.items() if gap.value < 0), key=lambda key: gaps[key].value)

    @property
    def single(self) -> bool:
        """Whether each cell has one seed."""
        return all(len(cell.seeds) == 1 for cell in self.cells)

    @property
    def several_budgets(self) -> bool:
        """Whether some flows had other budgets than others."""
        return len({cell.budget for cell in self.cells if not cell.baseline}) > 1

    def note(self, cell: CellResult) -> str:
        """What a reader must know of a cell before comparing it."""
        return say("note", cell=cell, failures=self.certificates[cell.key].failed)


def grouped(cells: Iterable[CellResult], fact: Callable[[CellResult], Any]) -> dict[Any, list[CellResult]]:
    """The cells that share a fact, in the order of the cells."""
    found: dict[Any, list[CellResult]] = {}
    for cell in cells:
        found.setdefault(fact(cell), []).append(cell)
    return found


def by_fact(cells: Iterable[CellResult], fact: Callable[[CellResult], Any]) -> dict[Any, list[str]]:
    """Their labels."""
    return {found: [cell.label for cell in group] for found, group in grouped(cells, fact).items()}


def by_value(cells: Sequence[CellResult], fact: Callable[..., Any]) -> dict[Any, str]:
    """Their keys in words."""
    return {found: names_of(group, cells) for found, group in grouped(cells, fact).items()}


def names_of(group: Sequence[CellResult], cells: Sequence[CellResult]) -> str:
    """The keys of some of the cells, or how many they are."""
    if len(group) == len(cells):
        return "all cells"
    return ", ".join(cell.key for cell in group) if len(group) < 10 else f"{len(group)} of {len(cells)} cells"
