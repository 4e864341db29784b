"""What tables share: equal rows, random splits by kinds of rows, and whole numbers."""

from typing import Annotated

import numpy as np

from flowbench.config import Within
from flowbench.data import SPLITS

Share = Annotated[float, Within(gt=0, lt=1)]


def require_training_rows(validation: float, test: float) -> None:
    """Raise a `ValueError` if these shares of the rows leave none to train on."""
    if validation + test >= 1:
        raise ValueError("validation and test together must leave rows to train on")


def kinds(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index of the first of each kind of equal rows, in their order, and for each row the number of its kind."""
    whole = np.ascontiguousarray(rows + 0.0).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, kind = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[kind]


def split_of(kind: np.ndarray, validation: float, test: float, rng: np.random.Generator | None) -> np.ndarray:
    """For each row the index of its split in ``SPLITS``, ``(n,)``: equal rows are in one split.

    Args:
        kind: for each row the number of its kind, ``(n,)``.
        validation, test: the share of the kinds in each of these splits.
        rng: shuffles the kinds; ``None`` to keep their order.
    """
    order = np.arange(kind.max(initial=-1) + 1)
    if rng is not None:
        rng.shuffle(order)
    shares = np.cumsum([1 - validation - test, validation])
    assert len(shares) + 1 == len(SPLITS)
    return np.searchsorted(shares, (np.argsort(order) + 0.5) / len(order))[kind] if len(kind) else kind


def dequantised(column: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers ``(n,)`` with uniform noise from [0, 1), float32; none reaches the next whole number."""
    column = column.astype(np.float64)
    noisy = (column + rng.random(len(column))).astype(np.float32)
    # Rounding to float32 may reach it.
    return np.minimum(noisy, np.nextafter(column.astype(np.float32) + 1, -np.inf, dtype=np.float32))
