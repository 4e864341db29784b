"""What cells on one data set are compared by: values over the same examples, on a scale where their spread is even."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from flowbench.metrics import METRICS
from flowbench.report.frame import CellResult
from flowbench.report.judgement.simultaneous import Array

# What flows are ranked by: the first of these that a data set has.
RANKED_BY = ("kl_to_target", "bits_per_dim")
Scale = Literal["log", "linear"]
NOT_FINITE, OTHER_EXAMPLES = "not finite", "other examples"


def ranking_metric(frame: pd.DataFrame) -> str:
    """What the flows on one data set are ranked by; lower is better."""
    measured = set(frame["metric"])
    return next((metric for metric in RANKED_BY if metric in measured), RANKED_BY[-1])


@dataclass(frozen=True)
class Scores:
    """The values of one metric that may be compared.

    Attributes:
        table: (seeds × cells), in the metric's unit; bits per dim are those above the truth where that is known. A seed
            that a cell has not finished is NaN.
        shared: of each two cells the variance of their difference that comes from the test examples, ``(k, k)``, in the
            unit squared.
        scale: the logarithm, where the metric is a size and all values are positive.
        left_out: why the other cells are not compared: ``not finite`` or ``other examples``.
    """

    table: pd.DataFrame
    shared: Array
    scale: Scale
    left_out: dict[str, str]


def scores(frame: pd.DataFrame, cells: Sequence[CellResult], metric: str) -> Scores:
    """What the cells of one data set are compared by.

    Bits per dim are compared over the first examples of the test split, as many as all cells were measured on. This
    takes the log-likelihood of each example, from the records of the cells. Without these, bits per dim above a known
    truth are compared whatever the examples, and other values over the largest number of examples alone: few samples
    bias distances upwards.
    """
    rows = frame[(frame["metric"] == metric) & ~frame["lost"]]
    finite = np.isfinite(rows["value"].astype(float)).groupby(rows["cell"], sort=False).all()
    left_out = dict.fromkeys(finite.index[~finite], NOT_FINITE)
    table = rows.pivot(index="seed", columns="cell", values="value")[list(finite.index[finite])]
    examples = rows.groupby("cell")["n"].min()[table.columns]
    by_example = _bits_by_example(frame, cells, table) if metric == "bits_per_dim" else {}
    truth = _truth(frame, table.columns, METRICS[metric].truth)
    shortened = list(examples.index[examples > examples.min()])
    if by_example.keys() >= set(shortened):
        for cell in shortened:
            table[cell] = pd.Series({seed: bits.mean() for seed, bits in by_example[cell].items()})
        if truth is not None and shortened:
            truth[:] = truth[examples.idxmin()]
    elif truth is None:
        left_out |= dict.fromkeys(examples.index[examples < examples.max()], OTHER_EXAMPLES)
        table = table[examples.index[examples == examples.max()]]
    if truth is not None:
        table = table - truth
    shared = _noise_of_examples(table.columns, by_example)
    even = not METRICS[metric].level or truth is not None
    positive = bool((table.isna() | (table > 0)).all(axis=None))
    return Scores(table, shared, "log" if even and positive else "linear", left_out)


def _truth(frame: pd.DataFrame, cells: pd.Index, metric: str) -> pd.Series | None:
    """The true value on the examples of each cell; ``None`` where it is not known for all."""
    rows = frame[frame["metric"] == metric]
    truth = rows.groupby("cell")["value"].mean().reindex(cells)
    return truth if len(truth) and truth.notna().all() else None


def _bits_by_example(
    frame: pd.DataFrame, cells: Sequence[CellResult], table: pd.DataFrame
) -> dict[str, dict[int, Array]]:
    """By cell and seed the bits per dim of the examples that all cells were measured on, where they are on record."""
    found = {cell.key: cell.record.evaluation.log_prob for cell in cells if cell.key in table.columns}
    found = {key: of for key, of in found.items() if of.keys() >= set(table.index[table[key].notna()])}
    least = min((len(log_prob) for of in found.values() for log_prob in of.values()), default=0)
    both = frame[frame["metric"].isin(["bits_per_dim", "nll_nats"])]
    # The unit: all cells have the same number of dimensions.
    sums = both[both["cell"].isin(found)].groupby("metric")["value"].apply(lambda values: values.abs().sum())
    if least == 0 or len(sums) < 2 or not np.isfinite(sums).all() or not sums["nll_nats"]:
        return {}
    unit = -sums["bits_per_dim"] / sums["nll_nats"]
    return {
        key: {seed: unit * of[seed][:least].astype(np.float64) for seed in table.index[table[key].notna()]}
        for key, of in found.items()
    }


def _noise_of_examples(cells: pd.Index, by_example: Mapping[str, Mapping[int, Array]]) -> Array:
    """The variance of the difference of each two cells over the test examples; 0 where they are not on record."""
    shared = np.zeros((len(cells), len(cells)))
    known = [i for i, cell in enumerate(cells) if cell in by_example]
    if known:
        means = np.stack([np.mean(list(by_example[cells[i]].values()), axis=0) for i in known])
        covariance = np.atleast_2d(np.cov(means)) / means.shape[1]
        of_each = np.diag(covariance)
        shared[np.ix_(known, known)] = np.maximum(of_each[:, None] + of_each[None, :] - 2 * covariance, 0.0)
    return shared
