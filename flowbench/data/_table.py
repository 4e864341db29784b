"""Tables of numbers in files of one's own."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowbench.data import DataError

KINDS = (".csv", ".parquet", ".npz")


def column_names(path: Path) -> list[str]:
    """The names of a file's columns; those of an NPZ file are ``0``, ``1`` and so on.

    Raises:
        DataError: the file cannot be read, is of another kind, or has a column without a name or two of one name.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file), [])
        elif path.suffix == ".parquet":
            from pyarrow.parquet import read_schema

            names = read_schema(path).names
        else:
            names = [str(i) for i in range(_array(path).shape[1])]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: expected a table, found: {' '.join(str(error).split())}") from None
    if not names:
        raise DataError(f"{path}: row 1: expected the names of the columns, found nothing")
    if len(names) > 1 and all(_is_number(name) for name in names) and path.suffix == ".csv":
        raise DataError(f"{path}: row 1: expected the names of the columns, found the numbers {', '.join(names[:8])}")
    if len(names) == 1 and ";" in names[0]:
        raise DataError(f"{path}: row 1: expected commas between the columns, found semicolons")
    if (unnamed := next((i for i, name in enumerate(names, start=1) if not name.strip()), None)) is not None:
        raise DataError(f"{path}: row 1: column {unnamed} has no name")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: row 1: two columns are called {twice[0]!r}")
    return list(names)


def read_table(path: Path, columns: Sequence[str] | None = None, *, missing: bool = False) -> np.ndarray:
    """The numbers of a file: ``(rows, columns)``, float32.

    A CSV file is in UTF-8, has commas between its columns, and its first row names them.

    Args:
        path: relative to the repository's root, as in `Source.files`; its name ends in ``.csv``, ``.parquet`` or
            ``.npz``.
        columns: the names of the wanted columns, in the wanted order; ``None`` for all.
        missing: whether rows that lack a value are left out; otherwise they are refused.

    Raises:
        DataError: the file cannot be read, a column is missing, or a value is not a number that is finite in float32.
            The message names the row as a spreadsheet counts it: the names are row 1.
    """
    there = column_names(path)
    if unknown := [name for name in columns or () if name not in there]:
        raise DataError(f"{path}: row 1: no column {unknown[0]!r}; there are {', '.join(there[:20])}")
    wanted = list(columns or there)
    if path.suffix == ".npz":
        values = _array(path)[:, [int(name) for name in wanted]]
    else:
        values = _read_csv(path, there, wanted, missing) if path.suffix == ".csv" else _read_parquet(path, wanted)
    if missing:
        values = values[~np.isnan(values).any(1)]
    with np.errstate(over="ignore"):
        found = values.astype(np.float32, copy=False)
    if not (np.isfinite(found.sum(dtype=np.float64)) or np.isfinite(found).all()):
        row, column = np.argwhere(~np.isfinite(found))[0]
        raise _no_number(path, row, wanted[column], str(values[row, column]))
    return found


def _read_csv(path: Path, there: list[str], wanted: list[str], missing: bool) -> np.ndarray:
    """The numbers of a CSV file, float64, with NaN where a value is missing if that is allowed."""
    import pandas as pd  # takes a second

    options = {"encoding": "utf-8-sig", "usecols": wanted, "skip_blank_lines": False, "index_col": False}
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], low_memory=False, **options)[wanted]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except ValueError:  # pandas' errors of parsing
        return _explained(path, there, wanted, missing)
    # A column that holds a word is text to pandas, and True and False are 1 and 0 to NumPy.
    if all(kind.kind in "iuf" for kind in frame.dtypes):
        values = frame.to_numpy(np.float64)
        largest = np.finfo(np.float32).max
        if missing or (values.min(initial=0) >= -largest and values.max(initial=0) <= largest):
            _require_row_lengths(path, len(there))
            return values
    return _explained(path, there, wanted, missing)


def _require_row_lengths(path: Path, columns: int) -> None:
    """Refuse a row with more values than row 1 has names, of which pandas would drop the last."""
    with path.open("rb") as lines:
        if all(line.count(b",") < columns for line in lines):
            return  # a comma within quotes can only make a row look longer
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if len(row) > columns:
                raise _too_long(path, number, columns, len(row))


def _explained(path: Path, there: list[str], wanted: list[str], missing: bool) -> np.ndarray:
    """The numbers of a CSV file that a strict reader refuses, read value by value."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))[1:]
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path}: expected a table in CSV, found: {' '.join(str(error).split())}") from error
    while rows and not any(value.strip() for value in rows[-1]):
        rows.pop()
    places = [there.index(name) for name in wanted]
    values = np.empty((len(rows), len(wanted)))
    for i, row in enumerate(rows):
        if len(row) > len(there):
            raise _too_long(path, i + 2, len(there), len(row))
        for j, place in enumerate(places):
            value = row[place] if place < len(row) else ""
            if not value.strip() and missing:
                values[i, j] = np.nan
            elif _is_number(value):
                values[i, j] = float(value)
            else:
                raise _no_number(path, i, wanted[j], value)
    return values


def _read_parquet(path: Path, wanted: list[str]) -> np.ndarray:
    from pyarrow import types
    from pyarrow.parquet import read_table as read

    table = read(path, columns=wanted)
    for name in wanted:
        kind = table.schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise DataError(f"{path}: column {name!r}: expected numbers, found values of the type {kind}")
    return np.column_stack([table[name].to_numpy().astype(np.float64) for name in wanted])


def _array(path: Path) -> np.ndarray:
    """The one array of an NPZ file."""
    if path.suffix not in KINDS:
        raise DataError(f"{path}: expected a file whose name ends in {', '.join(KINDS)}")
    with np.load(path, allow_pickle=False) as file:
        if len(file.files) != 1:
            raise DataError(f"{path}: expected one array, found {', '.join(file.files) or 'none'}")
        array = file[file.files[0]]
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise DataError(f"{path}: expected numbers (rows, columns), found {array.dtype} {array.shape}")
    return array.astype(np.float64, copy=False)


def _too_long(path: Path, row: int, columns: int, found: int) -> DataError:
    return DataError(f"{path}: row {row}: expected {columns} values, as row 1 has names, found {found}")


def _no_number(path: Path, row: int, column: str, value: str) -> DataError:
    found = repr(value) if value.strip() else "nothing; say missing: drop to leave such rows out"
    hint = ""
    if _is_number(value.replace(",", ".", 1)) and "," in value:
        hint = "; write a point, not a comma, before the decimals"
    elif value.count("-") == 2 or value.count("/") == 2 or value.count(":") in (1, 2):
        hint = "; a date or a time must become a number"
    return DataError(
        f"{path}: row {row + 2}, column {column!r}: expected a number that is finite in float32, found {found}{hint}"
    )


def _is_number(text: str) -> bool:
    """Whether a text is a number that is finite in float32."""
    try:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.float32(float(text)))) and "_" not in text
    except ValueError:
        return False
