"""Tables of numbers, for a source that reads a file of one's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowbench.data import DataError


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

    try:
        # All values are read as text: pandas takes some words for missing values, and True and False for 1 and 0.
        # Blank lines are kept, because a spreadsheet counts them; those at the end are dropped below.
        text = pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False, skip_blank_lines=False)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # pandas' errors of parsing, and text that is not UTF-8
        raise DataError(f"{path}: expected a table in CSV, found: {' '.join(str(error).split())}") from error
    if not isinstance(text.index, pd.RangeIndex):  # pandas takes values beyond the names for names of rows
        found = len(text.columns) + text.index.nlevels
        raise DataError(f"{path}: row 2: expected {len(text.columns)} values, as row 1 has names, found {found}")
    if pd.to_numeric(text.columns, errors="coerce").notna().all():
        raise DataError(f"{path}: row 1: expected the names of the columns, found the numbers {', '.join(text)}")
    if missing := [name for name in columns or () if name not in text]:
        raise DataError(f"{path}: row 1: no column {missing[0]!r}; there are {', '.join(text)}")
    text = text.fillna("")  # a row that is too short
    filled = np.flatnonzero((text != "").any(axis=1))
    text = text.iloc[: filled[-1] + 1 if len(filled) else 0, :]
    if columns is not None:
        text = text[list(columns)]
    with np.errstate(over="ignore"):
        values = text.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        row, column = wrong[0]
        value = text.iat[row, column]
        raise DataError(
            f"{path}: row {row + 2}, column {text.columns[column]!r}: expected a number that is finite in float32, "
            f"found {repr(value) if value.strip() else 'nothing'}"
        )
    return values
