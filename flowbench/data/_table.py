"""Tables of numbers in files of one's own."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from flowbench.data import DataError

KINDS = (".csv", ".parquet", ".npz")


class Fault(NamedTuple):
    """Something in a table that must be mended or decided before a flow can be trained on it.

    Attributes:
        kind: ``value``: a column holds what is no number. ``missing``: rows lack a value. ``repeated``: rows stand
            in the file before. ``whole``: columns of whole numbers alone. ``constant``: columns of one value alone,
            or of none. ``coarse``: a column that float32 cannot resolve.
        found: what it is and where.
        remedy: what to do, in the words of the options of the source ``table``.
        columns: the names of the columns that it is about; none where it is about rows.
    """

    kind: Literal["value", "missing", "repeated", "whole", "constant", "coarse"]
    found: str
    remedy: str
    columns: tuple[str, ...] = ()


class TableError(DataError):
    """A table cannot be used as it is.

    Args:
        path: of the file.
        faults: all that is wrong.
        columns: the names of the wanted columns.
    """

    def __init__(self, path: Path | str, faults: Sequence[Fault], columns: Sequence[str]):
        self.faults, self.columns = tuple(faults), tuple(columns)
        told = [
            f"{fault.found}; {fault.remedy}{', or leave it out of columns' * (fault.kind == 'value')}"
            for fault in faults
        ]
        if len(told) > 1:
            listed = " ".join(f"({i}) {text}" for i, text in enumerate(told, start=1))
            told = [f"{len(told)} things must be decided: {listed}"]
        super().__init__(f"{path}: {told[0]}")


@dataclass
class Numbers:
    """What could be read of a file.

    Attributes:
        values: ``(rows, columns)``, float64, with NaN where there is no number.
        faults: of each column that holds something else than numbers.
    """

    values: np.ndarray
    faults: list[Fault] = field(default_factory=list)

    def missing(self, columns: Sequence[str]) -> list[Fault]:
        """That values are missing, if some are. In columns with faults of their own they are not counted."""
        wrong = {name for fault in self.faults for name in fault.columns}
        places = np.isnan(self.values[:, [name not in wrong for name in columns]]).any(1)
        if not places.any():
            return []
        row = int(places.argmax())
        name = next(name for i, name in enumerate(columns) if name not in wrong and np.isnan(self.values[row, i]))
        more = int(places.sum()) - 1
        told = f", and none in {more:,} more row{'s' * (more > 1)}" if more else ""
        found = f"no value in row {row + 2}, column {name!r}{told}"
        return [Fault("missing", found, "say missing: drop to leave such rows out")]


def column_names(path: Path) -> list[str]:
    """The names of a file's columns; those of an NPZ file are ``0``, ``1`` and so on.

    Raises:
        DataError: the file cannot be read, is of another kind, or has a column without a name or two of one name.
    """
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                names = next(csv.reader(file, skipinitialspace=True), [])
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

    A CSV file is in UTF-8, has commas between its columns, and its first row names them. What pandas reads as a
    missing value is one: nothing, ``NA``, ``nan``, ``NULL`` and the like.

    Args:
        path: relative to the repository's root, as in `Source.files`; its name ends in ``.csv``, ``.parquet`` or
            ``.npz``.
        columns: the names of the wanted columns, in the wanted order; ``None`` for all.
        missing: whether rows that lack a value are left out; otherwise they are refused.

    Raises:
        DataError: the file cannot be read, or a column is missing.
        TableError: values are missing, or are not numbers that are finite in float32. The message names the first row
            of each column as a spreadsheet counts it: the names are row 1.
    """
    there = column_names(path)
    if unknown := [name for name in columns or () if name not in there]:
        raise DataError(f"{path}: row 1: no column {unknown[0]!r}; there are {', '.join(there[:20])}")
    wanted = list(columns or there)
    found = read_numbers(path, wanted)
    if faults := found.faults + ([] if missing else found.missing(wanted)):
        raise TableError(path, faults, wanted)
    return found.values[~np.isnan(found.values).any(1)].astype(np.float32)


def read_numbers(path: Path, wanted: Sequence[str]) -> Numbers:
    """What can be read of some columns of a file, and all that is no number in them.

    Raises:
        DataError: the file cannot be read, or a row has more values than there are names.
    """
    if path.suffix == ".csv":
        found = _read_csv(path, list(wanted))
    elif path.suffix == ".parquet":
        found = _read_parquet(path, list(wanted))
    else:
        values = _array(path)[:, [int(name) for name in wanted]]
        found = Numbers(values, [fault for i, name in enumerate(wanted) if (fault := _infinite(name, values[:, i]))])
    wrong = {name for fault in found.faults for name in fault.columns}
    for name, column in zip(wanted, found.values.T, strict=True):
        if len(column) > 1 and name not in wrong and np.isnan(column).all():
            found.faults.append(Fault("constant", f"no value at all in {name!r}", "leave it out of columns", (name,)))
    return found


def _read_csv(path: Path, wanted: list[str]) -> Numbers:
    import pandas as pd  # takes a second

    # Blank lines are rows without values, save those at the end.
    options = {"encoding": "utf-8-sig", "skip_blank_lines": False, "index_col": False, "skipinitialspace": True}
    try:
        _require_row_lengths(path, len(column_names(path)))
        frame = pd.read_csv(path, usecols=wanted, low_memory=False, **options)[wanted]
        # A column that holds a word is text to pandas, and True and False are 1 and 0 to NumPy.
        plain = [name for name in wanted if frame[name].dtype.kind in "iuf" and _fits(frame[name].to_numpy(float))]
        texts = [name for name in wanted if name not in plain]
        text = pd.read_csv(path, usecols=texts, dtype=str, **options) if texts else frame
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:  # among them pandas' errors of parsing
        raise DataError(f"{path}: expected a table in CSV, found: {' '.join(str(error).split())}") from error
    rows = len(frame) - _blank_at_the_end(path) if len(frame) and frame.iloc[-1].isna().all() else len(frame)
    found = Numbers(np.empty((rows, len(wanted))))
    for i, name in enumerate(wanted):
        if name in plain:
            found.values[:, i] = frame[name].to_numpy(np.float64)[:rows]
            continue
        column = [None if pd.isna(value) or not value.strip() else value for value in text[name].iloc[:rows]]
        found.values[:, i] = [float(value) if value and _is_number(value) else np.nan for value in column]
        wrong = [(row, value) for row, value in enumerate(column) if value and not _is_number(value)]
        if wrong:
            found.faults.append(_no_number(name, *wrong[0], len(wrong)))
    return found


def _require_row_lengths(path: Path, columns: int) -> None:
    """Refuse a row with more values than row 1 has names, of which pandas would drop the last."""
    with path.open("rb") as lines:
        if all(line.count(b",") < columns for line in lines):
            return  # a comma within quotes can only make a row look longer
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
            if len(row) > columns:
                raise DataError(
                    f"{path}: row {number}: expected {columns} values, as row 1 has names, found {len(row)}"
                )


def _blank_at_the_end(path: Path) -> int:
    """How many rows at the end of a CSV file hold nothing at all."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        blank = 0
        for row in csv.reader(file, skipinitialspace=True):
            blank = 0 if any(value.strip() for value in row) else blank + 1
    return blank


def _read_parquet(path: Path, wanted: list[str]) -> Numbers:
    from pyarrow import types
    from pyarrow.parquet import read_table as read

    table = read(path, columns=wanted)
    found = Numbers(np.full((table.num_rows, len(wanted)), np.nan))
    for i, name in enumerate(wanted):
        kind = table.schema.field(name).type
        if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
            found.values[:, i] = table[name].to_numpy().astype(np.float64)
            fault = _infinite(name, found.values[:, i])
        else:
            text = f"column {name!r}: expected numbers, found values of the type {kind}"
            fault = Fault("value", text, "make them numbers", (name,))
        found.faults += [fault] if fault else []
    return found


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


def _fits(column: np.ndarray) -> bool:
    """Whether all numbers of a column are finite in float32; NaN stands for a missing one."""
    largest = np.finfo(np.float32).max
    return bool(((np.abs(column) <= largest) | np.isnan(column)).all())


def _infinite(name: str, column: np.ndarray) -> Fault | None:
    """That numbers of a column are too large."""
    if _fits(column):
        return None
    wrong = np.flatnonzero(np.abs(column) > np.finfo(np.float32).max)
    return _no_number(name, int(wrong[0]), str(column[wrong[0]]), len(wrong))


def _no_number(column: str, row: int, value: str, count: int) -> Fault:
    """That ``count`` values of a column are no numbers, of which the first is ``value``."""
    remedy = "make it a number"
    if _is_number(value.replace(",", ".", 1)) and "," in value:
        remedy = "write a point, not a comma, before the decimals"
    elif value.count("-") == 2 or value.count("/") == 2 or value.count(":") in (1, 2):
        remedy = "a date or a time must become a number"
    more = f", and {count - 1:,} more in this column" if count > 1 else ""
    found = f"row {row + 2}, column {column!r}: expected a number that is finite in float32, found {value!r}{more}"
    return Fault("value", found, remedy, (column,))


def _is_number(text: str) -> bool:
    """Whether a text is a number that is finite in float32."""
    try:
        with np.errstate(over="ignore"):
            return bool(np.isfinite(np.float32(float(text)))) and "_" not in text
    except ValueError:
        return False
