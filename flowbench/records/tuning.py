"""What a search for learning rates found: ``suites/<suite>.trials.csv``, one row for each trial."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from flowbench.records.errors import RecordError
from flowbench.runtime.files import replace_file


class Trial(NamedTuple):
    """One training that was judged on the validation split alone.

    Attributes:
        cell: the cell whose flow, data and budget it has.
        learning_rate, steps: what it has in the place of its budget's.
        seed: of the trial; no seed of the suite, so that no reported training is among the trials.
        loss: the lowest on the validation split, infinite if the training diverged or failed.
        seconds: of training.
    """

    cell: str
    learning_rate: float
    steps: int
    seed: int
    loss: float
    seconds: float

    @property
    def identity(self) -> tuple[str, float, int, int]:
        """What tells it from other trials."""
        return self[:4]


def read(path: Path) -> list[Trial]:
    """The trials in a file; none if there is no file.

    Raises:
        RecordError: the file is no table of trials.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Trial(
                    cell=row["cell"],
                    learning_rate=float(row["learning_rate"]),
                    steps=int(row["steps"]),
                    seed=int(row["seed"]),
                    loss=float(row["loss"]),
                    seconds=float(row["seconds"]),
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: is no table of trials ({error!r}); delete it, and search again") from None


def write(path: Path, trials: Iterable[Trial]) -> None:
    """Write the trials, in the order of their cells, rates, steps and seeds."""
    rows = sorted(trials)
    lines = [",".join(Trial._fields)]
    lines += [f"{t.cell},{t.learning_rate:g},{t.steps},{t.seed},{t.loss!r},{t.seconds:.1f}" for t in rows]
    replace_file(path, "".join(f"{line}\n" for line in lines).encode())
