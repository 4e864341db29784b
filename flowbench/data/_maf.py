"""The five tables of the paper on masked autoregressive flows (1705.07057, section 4.1), from its public archive.

They are prepared as in the paper's code, https://github.com/gpapamak/maf, where the files in ``datasets/`` say what the
paper leaves open. The splits go by the archive's order, so each row is in the split where it was in the paper.
"""

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from flowbench.core import Event
from flowbench.data import DataError
from flowbench.data._fetch import DOWNLOADS, fetch, mirrors
from flowbench.data._places import DownloadedSource

ZENODO = "https://zenodo.org/records/1161203/files"
ARCHIVE = "data.tar.gz"
MD5 = "9b9c9b0375315ad270eba4ce80c093ab"

Splits = dict[str, np.ndarray]


class MafTable(DownloadedSource):
    """A table of the paper as ``(D,)``, in the paper's units: bits per dim are its nats, divided by -D ln 2.

    Attributes:
        columns: D.
        rows: of the splits for training, validation and test, as the paper counts them.
        members: the files in the archive that are read, below its folder ``data``.
    """

    columns: ClassVar[int]
    rows: ClassVar[tuple[int, int, int]]
    members: ClassVar[tuple[str, ...]]

    units_are_arbitrary = True

    @property
    def event(self) -> Event:
        return Event((self.columns,))

    def places(self) -> Iterator[tuple[str, Callable[[], Splits]]]:
        for folder in [*(f"{mirror}/maf" for mirror in mirrors()), ZENODO]:
            yield f"{folder}/{ARCHIVE}", partial(self._from_archive, f"{folder}/{ARCHIVE}")

    def splits(self) -> Splits:
        """The splits as float32, from the first place that has the archive.

        Raises:
            DataError: no place has it. The message says for each place what was expected and what was found.
        """
        return self.from_places()

    def prepared(self, *members: io.BytesIO) -> Splits:
        """The splits, made of the content of ``members`` in their order.

        Raises:
            ValueError: a member is not what the paper's code reads.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how its splits are made")

    def _from_archive(self, url: str) -> Splits:
        path = fetch(url, DOWNLOADS / "maf" / ARCHIVE, MD5)
        contents = read_members(path, self.members)
        try:
            splits = {split: array.astype(np.float32) for split, array in self.prepared(*contents).items()}
        except (OSError, KeyError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: expected the paper's {', '.join(self.members)}, found: {reason}") from error
        expected = [(rows, self.columns) for rows in self.rows]
        if (found := [array.shape for array in splits.values()]) != expected:
            raise DataError(f"{path}: expected splits of the paper's sizes {expected}, found {found}")
        return splits


def read_members(path: Path, names: tuple[str, ...]) -> list[io.BytesIO]:
    """The content of some files in the folder ``data`` of an archive. Nothing is unpacked to disk.

    Raises:
        DataError: the archive is cut short, is none, or lacks a file.
    """
    found: dict[str, io.BytesIO] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./").removeprefix("data/")
                if name in names and (file := archive.extractfile(member)):
                    found[name] = io.BytesIO(file.read())
                if len(found) == len(names):
                    break
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: expected an archive with {', '.join(names)}, found {error!r}") from error
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{path}: expected an archive with data/{missing[0]}, found none")
    return [found[name] for name in names]


def in_order(rows: np.ndarray) -> Splits:
    """The last tenth of the rows for the test, the last tenth of the others for validation, each rounded down."""
    others, test = _last_tenth(rows)
    train, validation = _last_tenth(others)
    return {"train": train, "validation": validation, "test": test}


def with_validation(rows: np.ndarray, test: np.ndarray) -> Splits:
    """The last tenth of the rows for validation, and a test split of its own."""
    train, validation = _last_tenth(rows)
    return {"train": train, "validation": validation, "test": test}


def standardised(splits: Splits) -> Splits:
    """Splits with the mean and the standard deviation of training and validation data together taken away."""
    known = np.concatenate([splits["train"], splits["validation"]])
    mean, deviation = known.mean(0), known.std(0)
    return {split: (rows - mean) / deviation for split, rows in splits.items()}


def require_columns(rows: np.ndarray, columns: int) -> np.ndarray:
    """The rows, if they are numbers ``(n, columns)``; a `ValueError` if not."""
    if rows.ndim != 2 or rows.shape[1] != columns or rows.dtype.kind not in "iuf":
        raise ValueError(f"an array {rows.shape} of {rows.dtype} in the place of rows of {columns} numbers")
    return rows


def _last_tenth(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All but the last tenth of the rows, and that tenth, rounded down."""
    count = len(rows) - int(0.1 * len(rows))
    return rows[:count], rows[count:]
