"""A table of numbers of one's own: a CSV, Parquet or NPZ file, one example a row.

What is unusual in the file is said and must be decided in ``params.yaml``. Nothing is guessed.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from flowbench.core import Event
from flowbench.data import SPLITS, DataError, Source
from flowbench.data._rows import Share, dequantised, kinds, require_training_rows, split_of
from flowbench.data._table import column_names, read_table
from flowbench.runtime.seeding import seed_for

# A model of more dimensions needs more memory for its weights than machines have.
MOST_COLUMNS = 2000
# Of a column's standard deviation, the most that neighbouring numbers of float32 may lie apart: with more, no flow's
# round trip in float32 could be certified.
LARGEST_SPACING = 1e-4


class Table(Source):
    """The rows of a file, split at random or in their order.

    Rows that are equal fall into one split, so that no test example was trained on.

    Attributes:
        path: of the file, relative to the repository's root; its name ends in ``.csv``, ``.parquet`` or ``.npz``. An
            NPZ file holds one array ``(rows, columns)``.
        columns: the names of the wanted columns, in the wanted order; all if left out.
        validation, test: the share of the rows in each of these splits.
        split: ``random``, or ``in order`` where the first rows train and the last ones test, as for a time series.
        missing: what to do with a row that lacks a value.
        repeated: what to do with a row that stands in the file before.
        dequantise: columns of whole numbers that get uniform noise from [0, 1), so that they have a density.
        as_they_are: columns of whole numbers that get no noise, because they only look whole.
    """

    path: str
    columns: tuple[str, ...] | None = None
    validation: Share = 0.1
    test: Share = 0.1
    split: Literal["random", "in order"] = "random"
    missing: Literal["refuse", "drop"] = "refuse"
    repeated: Literal["refuse", "keep", "drop"] = "refuse"
    dequantise: tuple[str, ...] = ()
    as_they_are: tuple[str, ...] = ()

    units_are_arbitrary = True

    def __post_init__(self) -> None:
        require_training_rows(self.validation, self.test)
        if both := sorted(set(self.dequantise) & set(self.as_they_are)):
            raise ValueError(f"the column {both[0]!r} stands under dequantise and under as_they_are; choose one")

    def files(self) -> tuple[Path, ...]:
        return (Path(self.path),)

    @cached_property
    def event(self) -> Event:
        return Event((len(self.names),))

    @cached_property
    def names(self) -> list[str]:
        """The names of the columns that are used."""
        there = column_names(Path(self.path))
        for option in ("columns", "dequantise", "as_they_are"):
            for name in getattr(self, option) or []:
                if name not in (there if option == "columns" else self.columns or there):
                    raise ValueError(f"{option}: {self.path} has no column {name!r}; there are {_few(there)}")
        wanted = list(self.columns or there)
        if len(wanted) > MOST_COLUMNS:
            raise ValueError(f"{self.path} has {len(wanted):,} columns; name at most {MOST_COLUMNS:,} under columns")
        return wanted

    def splits(self) -> dict[str, np.ndarray]:
        rows = read_table(Path(self.path), self.names, missing=self.missing == "drop")
        first, kind = kinds(rows)
        if len(first) < len(rows) and self.repeated == "refuse":
            raise DataError(
                f"{self.path}: {len(rows) - len(first):,} of {len(rows):,} rows stand in it before; say repeated: drop "
                "to use each once, or repeated: keep to use all, each kind in one split"
            )
        if self.repeated == "drop":
            rows, kind = rows[first], np.arange(len(first))
        self._require_resolution(rows)
        self._decide_whole_numbers(rows)
        rows = self._dequantised(rows)
        rng = np.random.default_rng(seed_for("data", self.name, "split")) if self.split == "random" else None
        place = split_of(kind, self.validation, self.test, rng)
        return {split: rows[place == i] for i, split in enumerate(SPLITS)}

    def _decide_whole_numbers(self, rows: np.ndarray) -> None:
        """Refuse columns of whole numbers that no option names: a density of them has no upper bound."""
        whole = [name for name, column in zip(self.names, rows.T, strict=True) if len(rows) and _is_whole(column)]
        undecided = [name for name in whole if name not in (*self.dequantise, *self.as_they_are)]
        if undecided:
            raise DataError(
                f"{self.path}: whole numbers alone in {_few(undecided)}; name each under dequantise, to add noise from "
                "[0, 1), or under as_they_are, or leave it out of columns"
            )
        if odd := [name for name in self.dequantise if name not in whole]:
            raise DataError(f"{self.path}: column {odd[0]!r} is under dequantise, and not all of its values are whole")

    def _require_resolution(self, rows: np.ndarray) -> None:
        """Refuse columns that vary so little about a large number that float32 cannot tell their values apart."""
        if not len(rows):
            return
        largest = np.maximum(rows.max(0), -rows.min(0))
        spread = rows.std(0, dtype=np.float64)
        coarse = (spread > 0) & (np.spacing(largest) > LARGEST_SPACING * spread)
        if coarse.any():
            i = int(coarse.argmax())
            raise DataError(
                f"{self.path}: column {self.names[i]!r} varies by {spread[i]:.3g} about numbers up to "
                f"{largest[i]:.6g}, which float32 cannot tell apart well enough; subtract a constant from it"
            )

    def _dequantised(self, rows: np.ndarray) -> np.ndarray:
        """Rows in which the columns under ``dequantise`` have noise; none leaves its whole number."""
        for name in self.dequantise:
            rng = np.random.default_rng(seed_for("data", self.name, "noise", name))
            i = self.names.index(name)
            rows[:, i] = dequantised(rows[:, i], rng)
        return rows


def _is_whole(column: np.ndarray) -> bool:
    return bool((column == np.floor(column)).all())


def _few(names: list[str]) -> str:
    """The first of some names."""
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more


source = Table
