"""Three answers for a reader in a hurry: the best density, the fastest sampler and the cheapest training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from flowbench.report.frame import Cell
from flowbench.report.judgement.certification import Verdicts
from flowbench.report.judgement.verdict import Chip

# How far behind the best density a flow may be to count as good: in bits per dim, or in nats of KL to an energy.
MARGIN = 0.05
Question = Literal["best density", "fastest sampler", "cheapest training"]


@dataclass(frozen=True)
class Answer:
    """One of the three.

    Attributes:
        question: what is answered.
        cell: the key of the certified flow that is the answer; ``None`` where none qualifies. Over data sets: the label.
        chip: how sure that is, as of a `Verdict`.
        tied: those that cannot be told from it.
        margin: how far behind the best density a flow may be for an answer about cost; ``None`` of the density itself.
    """

    question: Question
    cell: str | None
    chip: Chip
    tied: list[str] = field(default_factory=list)
    margin: float | None = None


def answers(frame: pd.DataFrame, cells: Sequence[Cell], certificates: Mapping[str, Verdicts]) -> list[Answer]:
    """The three answers for the cells of one data set."""
    return [
        Answer("best density", None, "none"),
        Answer("fastest sampler", None, "none", margin=MARGIN),
        Answer("cheapest training", None, "none", margin=MARGIN),
    ]


def overall(frame: pd.DataFrame, cells: Sequence[Cell], certificates: Mapping[str, Verdicts]) -> list[Answer]:
    """The three answers for the flows that stand on several data sets, by their labels."""
    return answers(frame, cells, certificates)
