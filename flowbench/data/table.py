"""A table of numbers of one's own: a CSV, Parquet or NPZ file, one example a row.

What is unusual in the file is said, all of it at once, and must be decided in ``params.yaml``. Nothing is guessed.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from flowbench.core import Event
from flowbench.data import SPLITS, DataError, Source
from flowbench.data._rows import Share, dequantised, kinds, require_training_rows, split_of
from flowbench.data._table import Fault, TableError, column_names, read_numbers
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
        rows = self._rows()
        if odd := [name for name in self.dequantise if not _is_whole(rows[:, self.names.index(name)])]:
            raise DataError(f"{self.path}: column {odd[0]!r} is under dequantise, and not all of its values are whole")
        first, kind = kinds(rows)
        if self.repeated == "drop":
            rows, kind = rows[first], np.arange(len(first))
        rows = self._dequantised(rows)
        rng = np.random.default_rng(seed_for("data", self.name, "split")) if self.split == "random" else None
        place = split_of(kind, self.validation, self.test, rng)
        return {split: rows[place == i] for i, split in enumerate(SPLITS)}

    def _rows(self) -> np.ndarray:
        """The numbers of the file, float32; a `TableError` lists all that must be mended or decided before."""
        found = read_numbers(Path(self.path), self.names)
        faults = found.faults + (found.missing(self.names) if self.missing == "refuse" else [])
        wrong = {name for fault in found.faults for name in fault.columns}
        names = [name for name in self.names if name not in wrong]
        values = found.values[:, [name not in wrong for name in self.names]]
        rows = values[~np.isnan(values).any(1)].astype(np.float32)
        if names and len(rows) > 1:
            faults += [*self._repeated(rows), *self._unfit(names, rows)]
        if faults:
            raise TableError(self.path, faults, self.names)
        return rows

    def _repeated(self, rows: np.ndarray) -> list[Fault]:
        """That rows stand in the file before, if nothing is decided about them."""
        again = len(rows) - len(kinds(rows)[0])
        if self.repeated != "refuse" or not again:
            return []
        remedy = "say repeated: drop to use each once, or repeated: keep to use all, each kind in one split"
        return [Fault("repeated", f"{again:,} of {len(rows):,} rows stand in it before", remedy)]

    def _unfit(self, names: Sequence[str], rows: np.ndarray) -> list[Fault]:
        """Columns that have no density: of whole numbers that no option names, of one value, or too coarse."""
        faults: list[Fault] = []
        columns = dict(zip(names, rows.T, strict=True))
        noisy = {*self.dequantise}
        coarse = [fault for name, column in columns.items() for fault in _coarse(name, column)]
        alone = [name for name, column in columns.items() if name not in noisy and (column == column[0]).all()]
        told = {*noisy, *self.as_they_are, *alone, *(name for fault in coarse for name in fault.columns)}
        if whole := [name for name, column in columns.items() if name not in told and _is_whole(column)]:
            remedy = "name each under dequantise, to add noise from [0, 1), or under as_they_are"
            remedy += ", or leave it out of columns"
            faults.append(Fault("whole", f"whole numbers alone in {_few(whole)}", remedy, tuple(whole)))
        if alone:
            found = f"one value alone in {_few(alone)}"
            faults.append(Fault("constant", found, "leave it out of columns", tuple(alone)))
        return faults + coarse

    def _dequantised(self, rows: np.ndarray) -> np.ndarray:
        """Rows in which the columns under ``dequantise`` have noise; none leaves its whole number."""
        for name in self.dequantise:
            rng = np.random.default_rng(seed_for("data", self.name, "noise", name))
            i = self.names.index(name)
            rows[:, i] = dequantised(rows[:, i], rng)
        return rows


def _is_whole(column: np.ndarray) -> bool:
    return bool((column == np.floor(column)).all())


def _coarse(name: str, column: np.ndarray) -> list[Fault]:
    """That a column varies so little about a large number that float32 cannot tell its values apart."""
    largest, spread = np.abs(column).max(), column.std(dtype=np.float64)
    if not spread or np.spacing(largest) <= LARGEST_SPACING * spread:
        return []
    found = f"column {name!r} varies by {spread:.3g} about numbers up to {largest:.6g}, which float32 cannot tell apart"
    return [Fault("coarse", f"{found} well enough", "subtract a constant from it", (name,))]


def _few(names: list[str]) -> str:
    """The first of some names."""
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(map(repr, names[:8])) + more


source = Table
