"""The checks of what a source hands over, before it is saved."""

import logging
import sys
import traceback
from pathlib import Path

import numpy as np

from flowbench.config import PARAMS
from flowbench.data._source import SPLITS, DataError, Source

# Standardisation and the fitted baselines need two examples.
LEAST_TRAINING = 2
# With fewer training examples, or fewer per dimension, the results say little about a model.
FEW, FEW_PER_DIMENSION = 100, 10

log = logging.getLogger(__name__)


def checked(source: Source) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The splits of a source in the type in which they are saved, and the labels of each; none if there are no classes.

    Continuous data becomes float32. Data with levels stays in its type of integers. Labels are int64, from 0.

    Raises:
        DataError: a file that the source reads is missing; a split has no examples, another shape or type than the
            source declares, or a value that is not finite in float32 or is no level; or a continuous feature is
            constant and the source does not allow that; or the labels are not of as many classes.
    """
    for path in source.files():
        if not path.exists():
            raise DataError(f"{path}: no such file; data.{source.name} reads it")
    splits, labels = _splits(source)
    if set(splits) != set(SPLITS):
        raise DataError(f"{_origin(source)}: expected the splits {', '.join(SPLITS)}, found {', '.join(splits)}")
    splits = {split: _checked(source, split, splits[split]) for split in SPLITS}
    if not source.is_energy:
        _check_training(source, splits["train"])
    return splits, _checked_labels(source, splits, labels) if source.event.classes else {}


def _splits(source: Source) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    try:
        if not source.event.classes:
            return {split: np.asarray(array) for split, array in source.splits().items()}, {}
        found = source.labelled()
        examples, labels = ({split: np.asarray(both[i]) for split, both in found.items()} for i in (0, 1))
        return examples, labels
    except (OSError, ValueError) as error:  # what libraries raise if they cannot read a file
        own = sys.modules[type(source).__module__].__file__
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
        place = f"{Path(own).name}, line {lines[-1]}: " if own and lines else ""
        raise DataError(f"{_origin(source)}: {place}{' '.join(str(error).split())}") from error


def _checked(source: Source, split: str, array: np.ndarray) -> np.ndarray:
    """One split in the type in which it is saved."""
    where, event = f"{_origin(source)}: {split}", source.event
    kinds, wanted = ("iu", f"integers from 0 to {event.levels - 1}") if event.levels else ("iuf", "numbers")
    if array.dtype.kind not in kinds:
        raise DataError(f"{where}: expected {wanted}, found an array of type {array.dtype}")
    if array.shape[1:] != event.shape:
        raise DataError(f"{where}: expected examples of shape {event.shape}, found {array.shape[1:]}")
    least = LEAST_TRAINING if split == "train" and not source.is_energy else 1
    if len(array) < least:
        raise DataError(f"{where}: expected {least} examples or more, found {len(array)}; {_more(source, split)}")
    if event.levels:
        if array.min() < 0 or array.max() >= event.levels:
            raise DataError(f"{where}{_first(array, (array < 0) | (array >= event.levels))}: expected {wanted}")
        return array
    with np.errstate(over="ignore"):
        saved = array.astype(np.float32, copy=False)
    if not (np.isfinite(saved.min()) and np.isfinite(saved.max())):
        raise DataError(f"{where}{_first(array, ~np.isfinite(saved))}: expected a value that is finite in float32")
    return saved


def _checked_labels(
    source: Source, splits: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The labels of each split as whole numbers from 0."""
    where, classes = _origin(source), source.event.classes or 0
    for split, examples in splits.items():
        if labels[split].shape != (len(examples),):
            raise DataError(f"{where}: {split}: expected {len(examples)} labels, found {labels[split].shape}")
    whole = np.concatenate([labels[split] for split in SPLITS])
    if whole.dtype.kind in "iu":
        if whole.min() < 0 or whole.max() >= classes:
            raise DataError(f"{where}: expected labels from 0 to {classes - 1}, found {whole.min()} to {whole.max()}")
        return {split: labels[split].astype(np.int64) for split in SPLITS}
    kinds = np.unique(whole)
    if len(kinds) != classes:
        raise DataError(f"{where}: expected labels of {classes} classes, found {len(kinds)}: {', '.join(kinds[:20])}")
    return {split: np.searchsorted(kinds, labels[split]) for split in SPLITS}


def _check_training(source: Source, train: np.ndarray) -> None:
    where = f"{_origin(source)}: train"
    few = max(FEW, FEW_PER_DIMENSION * source.event.dims)
    if len(train) < few:
        found = f"only {len(train):,} examples, and with fewer than {few:,} the results say little about a model"
        log.warning("%s: %s; %s", where, found, _more(source, "train"))
    if source.event.levels:
        return
    constant = np.argwhere(train.min(0) == train.max(0))
    if len(constant):
        index = tuple(constant[0])
        others = f", and so are {len(constant) - 1:,} others" if len(constant) > 1 else ""
        fault = f"{where}[:, {', '.join(map(str, index))}] is constant: {train[0][index]}{others}"
        if not source.constant_features_allowed:
            raise DataError(f"{fault}; leave it out, or set constant_features_allowed = True in the source")
        log.warning("%s; bits per dim mean little", fault)


def _origin(source: Source) -> str:
    """The key of the data set and the files that it reads."""
    files = ", ".join(map(str, source.files()))
    return f"data.{source.name}" + (f" ({files})" if files else "")


def _more(source: Source, split: str) -> str:
    """How to give a split more examples."""
    sizes = {option: size for option, size in vars(source).items() if option in SPLITS}
    if split in sizes:
        return f"raise data.{source.name}.{split} = {sizes[split]} in {PARAMS}"
    if sizes:
        keys = " or ".join(f"data.{source.name}.{other} = {size}" for other, size in sizes.items())
        return f"lower {keys} in {PARAMS}"
    return f"change data.{source.name} in {PARAMS}, or its files"


def _first(array: np.ndarray, wrong: np.ndarray) -> str:
    """The first wrong value and its index, as in ``[50, 2] = nan``."""
    index = np.argwhere(wrong)[0].tolist()
    return f"{index} = {array[tuple(index)]}"
