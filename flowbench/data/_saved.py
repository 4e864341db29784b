"""A data set on disk: written whole or not at all, and verified when it is read."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from flowbench.data._checks import checked
from flowbench.data._source import SPLITS, DataError, Source
from flowbench.runtime.files import write_json

_LABELS = ".labels"


def save(source: Source, folder: Path) -> None:
    """Check a source and write it to ``folder``. What was there is replaced, but only by a whole data set.

    The splits become ``train.npy``, ``validation.npy`` and ``test.npy``, and the labels of each, where the data has
    some, ``train.labels.npy`` and so on. ``info.json`` holds the event, the true entropy in nats (null if unknown) and
    the SHA-256 of each array's type, shape and content.

    Raises:
        DataError: the splits are not what the source declares, a file that it reads is missing or wrong, or
            ``folder`` cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # a killed run may have left it
    try:
        with _writing(folder):
            partial.mkdir(parents=True)
        splits, labels = checked(source)
        info = {
            "event": asdict(source.event),
            "fingerprint": {split: digest(array) for split, array in splits.items()},
            **({"labels": {split: digest(array) for split, array in labels.items()}} if labels else {}),
            "entropy_nats": source.entropy(),
        }
        with _writing(folder):
            for suffix, arrays in (("", splits), (_LABELS, labels)):
                for split, array in arrays.items():
                    np.save(partial / f"{split}{suffix}.npy", array, allow_pickle=False)
            write_json(partial / "info.json", info)
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(folder: Path) -> dict[str, np.ndarray]:
    """The splits that `save` wrote, as read-only memory maps.

    Raises:
        DataError: a file is missing, or its content has changed since it was saved.
    """
    return {split: _read_split(folder / f"{split}.npy", expected) for split, expected in fingerprint(folder).items()}


def read_labels(folder: Path) -> dict[str, np.ndarray]:
    """The labels of each split that `save` wrote, ``(n,)`` int64 from 0.

    Raises:
        DataError: the data has none, or was made before labels were kept; a file is missing or has changed.
    """
    try:
        digests = _info(folder, "labels")
    except DataError:
        again = f"make it again with `dvc repro -f stages/dvc.yaml:download@{folder.name}`"
        raise DataError(f"{folder}: holds no labels; if it was made by an earlier version, {again}") from None
    return {split: _read_split(folder / f"{split}{_LABELS}.npy", digests[split]) for split in SPLITS}


def fingerprint(folder: Path) -> dict[str, str]:
    """The SHA-256 of each split that `save` wrote, in hexadecimal."""
    digests = _info(folder, "fingerprint")
    return {split: digests[split] for split in SPLITS}


def saved_entropy(folder: Path) -> float | None:
    """The true entropy in nats that `save` wrote; ``None`` if it is unknown."""
    return _info(folder, "entropy_nats")


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's type, shape and content, in hexadecimal."""
    found = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Name ``folder`` if the block cannot write."""
    try:
        yield
    except OSError as error:
        hint = "" if error.errno else "; is the disk full?"  # NumPy only says how much it has written
        raise DataError(f"{folder}: cannot write the data set: {error}{hint}") from error


def _info(folder: Path, key: str) -> Any:
    try:
        return json.loads((folder / "info.json").read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / 'info.json'}: expected the {key} of a data set, found {error!r}") from None


def _read_split(path: Path, expected: str) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        found = digest(array)
    except (OSError, ValueError, EOFError) as error:
        found = repr(error)
    if found != expected:
        raise DataError(f"{path}: expected an array with fingerprint {expected}, found {found}")
    return array
