"""Data sources, one per file. A file's name is the source's name in ``params.yaml``, cells and reports."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowbench.config import PARAMS, ConfigError, check_options, known
from flowbench.core import Event
from flowbench.numerics.quadrature import Grid, entropy
from flowbench.runtime.files import without_secrets, write_json
from flowbench.runtime.seeding import seed_for

SPLITS = ("train", "validation", "test")


class DataError(RuntimeError):
    """Data is missing, is not what was published or saved, or cannot be written."""

    def __init__(self, message: str):
        super().__init__(without_secrets(message))


@dataclass(frozen=True)
class Source:
    """One data set: its splits, and what is known of the distribution they come from.

    Attributes:
        event: what an example looks like.
        grid: for 2-D data, the square that holds all but a negligible part of the mass, for figures and integrals.
    """

    event: Event
    grid: Grid | None = None

    @property
    def name(self) -> str:
        """The name of the file that defines the source."""
        return type(self).__module__.rpartition(".")[2]

    def splits(self) -> dict[str, np.ndarray]:
        """The train, validation and test splits, each ``(n, *event.shape)``; the same at each call."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its splits are made")

    def log_density(self, x: Tensor) -> Tensor | None:
        """The true log-density of ``(batch, *event)`` in nats, ``(batch,)``; ``None`` if nobody knows it."""
        return None

    def log_energy(self, x: Tensor) -> Tensor | None:
        """For a source that is learnt from an energy: log p(x) up to a constant, ``(batch,)``; else ``None``."""
        return None

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """The true mean and standard deviation of each feature, where a report is to set them beside the learnt."""
        return None

    @property
    def is_energy(self) -> bool:
        """Whether models learn from `log_energy`, and not from the training split."""
        return type(self).log_energy is not Source.log_energy

    def entropy(self) -> float | None:
        """The true differential entropy in nats: in expectation no model's loss is lower. ``None`` if unknown."""
        if self.grid is None or self.log_density(self.grid.points()[:1]) is None:
            return None
        return entropy(self.grid.evaluate(self.log_density, dtype=torch.float64), self.grid)


@dataclass(frozen=True, kw_only=True)
class SampledSource(Source):
    """A distribution that can be sampled at will: its splits are draws of their own, of the given sizes."""

    train: int
    validation: int
    test: int

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, *event.shape)`` examples."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is sampled")

    def splits(self) -> dict[str, np.ndarray]:
        # A generator each: the size of one split must not change another.
        rngs = {split: np.random.default_rng(seed_for("data", self.name, split)) for split in SPLITS}
        return {split: self.draw(getattr(self, split), rng).astype(np.float32) for split, rng in rngs.items()}


def names() -> list[str]:
    """All data sources, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(name: str, **options) -> Source:
    """The source called ``name`` with the options that ``params.yaml`` gives under ``data.<name>``.

    A `ConfigError` names an unknown source or a wrong option.
    """
    return _build(name, options, f"{PARAMS}: data.{name}")


def check(name: str, options: dict[str, Any], where: str) -> None:
    """Raise a `ConfigError` if ``options``, found at the key ``where``, are not options of the source ``name``."""
    _build(name, options, where)


def expanded(sets: Mapping[str, dict[str, Any]]) -> str:
    """The text of ``stages/data.yaml``: for each data set of ``params.yaml`` a path that its download depends on.

    That is the file of one's own that the source reads, or the list of the code that makes the data.
    """
    lines = ["# Made from params.yaml by `flowbench expand`; edit that file instead.", "data:"]
    lines += [f"  {name}: {{reads: code/data/{name}.json}}" for name in sets]
    return "".join(f"{line}\n" for line in lines)


def _build(name: str, options: dict[str, Any], where: str) -> Source:
    source = importlib.import_module(f"{__name__}.{known(name, names(), f'{PARAMS}: data', 'data set')}").source
    options = check_options(source, options, where)
    try:
        return source(**options)
    except ValueError as error:
        raise ConfigError(f"{where} = {options}: {error}") from None


def save(source: Source, folder: Path) -> None:
    """Write a source to ``folder``, replacing it: all of it or nothing.

    The splits become ``train.npy``, ``validation.npy`` and ``test.npy``; ``info.json`` holds the event, the true
    entropy in nats (null if unknown) and the SHA-256 of each split's type, shape and content. A `DataError` says what
    was wrong with the source's files or where there was no room to write.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    try:
        partial.mkdir(parents=True)
        splits = source.splits()
        for split, array in splits.items():
            np.save(partial / f"{split}.npy", array, allow_pickle=False)
        info = {
            "event": asdict(source.event),
            "fingerprint": {split: _digest(array) for split, array in splits.items()},
            "entropy_nats": source.entropy(),
        }
        write_json(partial / "info.json", info)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: expected room for the data set, found {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(folder: Path) -> dict[str, np.ndarray]:
    """The splits that `save` wrote, as read-only memory maps.

    A `DataError` names a file that is missing or whose content is not what was saved.
    """
    return {split: _read_split(folder / f"{split}.npy", expected) for split, expected in fingerprint(folder).items()}


def fingerprint(folder: Path) -> dict[str, str]:
    """The SHA-256 of each split that `save` wrote, in hexadecimal."""
    digests = _info(folder, "fingerprint")
    return {split: digests[split] for split in SPLITS}


def saved_entropy(folder: Path) -> float | None:
    """The true entropy in nats that `save` wrote; ``None`` if unknown."""
    return _info(folder, "entropy_nats")


def _info(folder: Path, key: str) -> Any:
    try:
        return json.loads((folder / "info.json").read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / 'info.json'}: expected the {key} of a data set, found {error!r}") from None


def _read_split(path: Path, expected: str) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        found = _digest(array)
    except (OSError, ValueError, EOFError) as error:
        found = repr(error)
    if found != expected:
        raise DataError(f"{path}: expected an array with fingerprint {expected}, found {found}")
    return array


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
