"""Tables of numbers, for a source that reads a file of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flowbench.data import DataError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, columns: Sequence[str] | None = None) -> np.ndarray:
    """The numbers of a CSV file in UTF-8 whose first row names the columns: ``(rows, columns)``, float32.

    Args:
        path: relative to the repository's root, as in `Source.files`.
        columns: the names of the wanted columns, in the wanted order; ``None`` for all.

    Raises:
        DataError: the file cannot be read, a column is missing, or a value is not a number that is finite in float32.
            The message names the row as a spreadsheet counts it: the names are row 1.
    """
    import pandas as pd  # takes a second

    table = _read(path, low_memory=False)
    if all(_is_number(name) for name in table.columns):
        raise DataError(f"{path}: row 1: expected the names of the columns, found the numbers {', '.join(table)}")
    if missing := [name for name in columns or () if name not in table]:
        raise DataError(f"{path}: row 1: no column {missing[0]!r}; there are {', '.join(table)}")
    if columns is not None:
        table = table[list(columns)]
    numbers = pd.DataFrame({name: _numbers(table[name]) for name in table})
    with np.errstate(over="ignore"):
        values = numbers.to_numpy(np.float64).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        name = table.columns[column]
        # As it stands in the file, since pandas has made a NaN of an empty value and of many words.
        text = _read(path, dtype=str, keep_default_na=False).at[row, name]
        found = repr(text) if isinstance(text, str) and text.strip() else "nothing"
        raise DataError(
            f"{path}: row {row + 2}, column {name!r}: expected a number that is finite in float32, found {found}"
        )
    return values


def _read(path: Path, **options) -> pd.DataFrame:
    import pandas as pd

    try:
        # Blank lines are kept, because a spreadsheet counts them; those at the end are dropped.
        table = pd.read_csv(path, encoding="utf-8-sig", skip_blank_lines=False, **options)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # pandas' errors of parsing, and text that is not UTF-8
        raise DataError(f"{path}: expected a table in CSV, found: {' '.join(str(error).split())}") from error
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes values beyond the names for names of rows
        raise DataError(
            f"{path}: row 2: expected {len(table.columns)} values, as row 1 has names, "
            f"found {len(table.columns) + table.index.nlevels}"
        )
    filled = np.flatnonzero(((table.notna()) & (table != "")).any(axis=1))
    return table.iloc[: filled[-1] + 1 if len(filled) else 0]


def _numbers(column: pd.Series) -> pd.Series:
    """The column as numbers, with a NaN where there is none."""
    import pandas as pd

    # As text again, or the words True and False would count as 1 and 0.
    return pd.to_numeric(column if column.dtype.kind in "iuf" else column.astype(str), errors="coerce")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
