"""Tables of the UCI Machine Learning Repository (CC BY 4.0): one table from a mirror or from OpenML."""

import gzip
import hashlib
import socket
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np

from flowbench.core import Event
from flowbench.data import SPLITS, DataError
from flowbench.data._fetch import DOWNLOADS, TIMEOUT, fetch, mirrors
from flowbench.data._places import DownloadedSource
from flowbench.data._rows import Share, dequantised, kinds, require_training_rows, split_of
from flowbench.runtime.seeding import seed_for

OPENML = "https://www.openml.org"
# What OpenML's copies have beside the features and the label.
NO_FEATURES = {"ID"}

Labelled = tuple[np.ndarray, np.ndarray]  # features (n, D), float64, and labels (n,), texts


class UciTable(DownloadedSource):
    """A table of the UCI repository as ``(D,)``; its labels are no features.

    The rows are split at random. Rows of equal features fall into one split, so that no test example was trained on.
    The splits depend on the values alone, and not on the order in which a place has them.

    Attributes:
        validation, test: the share of the rows in each of these splits.
        openml: the number of the table at OpenML.
        columns: D.
        classes: of the labels.
        whole: whether the features are whole numbers, which get uniform noise from [0, 1), so that they have a density.
        fingerprint: of the table, as `content_order` gives it.
    """

    validation: Share = 0.1
    test: Share = 0.1
    openml: ClassVar[int]
    columns: ClassVar[int]
    classes: ClassVar[int]
    whole: ClassVar[bool]
    fingerprint: ClassVar[str]

    units_are_arbitrary = True

    def __post_init__(self) -> None:
        require_training_rows(self.validation, self.test)

    @property
    def event(self) -> Event:
        return Event((self.columns,), classes=self.classes)

    def places(self) -> Iterator[tuple[str, Callable[[], Labelled]]]:
        table = type(self).__name__.lower()
        for mirror in mirrors():
            url = f"{mirror}/uci/{table}.csv.gz"
            yield url, partial(self._from_csv, url)
        yield f"{OPENML}/d/{self.openml}", self._from_openml

    def labelled(self) -> dict[str, Labelled]:
        """The features of each split, ``(n, D)`` float32, with their labels, ``(n,)`` texts.

        Raises:
            DataError: no place has the table. The message says for each place what was expected and what was found.
        """
        values, labels = self.from_places()
        rows = values.astype(np.float32)
        rng = np.random.default_rng(seed_for("data", self.name, "split"))
        place = split_of(kinds(rows)[1], self.validation, self.test, rng)
        if self.whole:
            for i, name in enumerate(self.names):
                rows[:, i] = dequantised(rows[:, i], np.random.default_rng(seed_for("data", self.name, "noise", name)))
        return {split: (rows[place == i], labels[place == i]) for i, split in enumerate(SPLITS)}

    def _from_csv(self, url: str) -> Labelled:
        """The table from a gzipped CSV file at ``url``, whose last column is the label."""
        path = fetch(url, DOWNLOADS / self.name / url.rpartition("/")[2])
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                rows = [line.rstrip("\n").split(",") for line in file][1:]
            values = np.array([row[:-1] for row in rows], np.float64)
            return self._verified(values, [row[-1] for row in rows], url)
        except (OSError, EOFError, ValueError, DataError, zlib.error) as error:
            path.unlink()
            if isinstance(error, DataError):
                raise
            raise DataError(f"{url}: expected a gzipped table, found {error!r}") from error

    def _from_openml(self) -> Labelled:
        """The table from OpenML. Nothing is kept, for scikit-learn would keep an error page too."""
        from sklearn.datasets import fetch_openml  # slow

        where = f"{OPENML}/d/{self.openml}"
        try:
            with TemporaryDirectory() as cache, _no_longer_silent_than(TIMEOUT), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it tries again
                # pandas, the other parser, may be a last digit off.
                found = fetch_openml(
                    data_id=self.openml, data_home=cache, as_frame=False, parser="liac-arff", n_retries=1
                )
            names = [i for i, name in enumerate(found.feature_names) if name not in NO_FEATURES]
            values = np.asarray(found.data[:, names], np.float64)
            labels = [str(label).removesuffix(".") for label in found.target]  # some classes are called "1."
        except Exception as error:  # scikit-learn raises many kinds of errors
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(f"{where}: expected a table, found {type(error).__name__}: {reason[:300]}") from error
        return self._verified(values, labels, where)

    def _verified(self, values: np.ndarray, labels: list[str], where: str) -> Labelled:
        """Check the fingerprint of a table from ``where``, and sort it by content.

        Raises:
            DataError: the table has another shape, or not the fingerprint of the original.
        """
        if values.ndim != 2 or values.shape[1] != self.columns or not np.isfinite(values).all():
            raise DataError(f"{where}: expected rows of {self.columns} numbers, found {values.shape}")
        order, found = content_order(values, labels)
        if found != self.fingerprint:
            raise DataError(
                f"{where}: expected a table with fingerprint {self.fingerprint}, found {len(values):,} rows "
                f"with fingerprint {found}"
            )
        return values[order], np.array(labels)[order]


def content_order(values: np.ndarray, labels: list[str]) -> tuple[list[int], str]:
    """An order and a fingerprint that do not depend on the order and the file format in which a table comes.

    Each row has a line: its values and its label, joined by commas. A whole number is written without a point. The
    order is that of the lines. The fingerprint is the SHA-256 of the sorted lines, joined by newlines, in hexadecimal.

    Args:
        values: ``(n, D)``, float64.
        labels: ``(n,)``.
    """
    columns = [list(map(_number, column)) for column in values.T.tolist()]
    lines = [",".join(row) for row in zip(*columns, labels, strict=True)]
    order = sorted(range(len(lines)), key=lines.__getitem__)
    return order, hashlib.sha256("\n".join(lines[i] for i in order).encode()).hexdigest()


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


@contextmanager
def _no_longer_silent_than(seconds: float) -> Iterator[None]:
    """A block in which no server may stay silent for longer; scikit-learn would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
