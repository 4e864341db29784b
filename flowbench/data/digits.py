"""Handwritten digits of 8 × 8 pixels with grey levels from 0 to 16, from scikit-learn."""

import numpy as np

from flowbench.config import PositiveInt
from flowbench.core import Event
from flowbench.data import Source
from flowbench.runtime.seeding import seed_for

TOTAL = 1797


class Digits(Source):
    """The digits as ``(1, 8, 8)``. The images that are not for validation or test are for training."""

    validation: PositiveInt
    test: PositiveInt
    event = Event((1, 8, 8), levels=17, classes=10)

    def __post_init__(self) -> None:
        if self.validation + self.test >= TOTAL:
            raise ValueError(f"validation and test take all of the {TOTAL} examples; leave some to train on")

    def labelled(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        from sklearn.datasets import load_digits  # slow

        found = load_digits()
        images = found.images.astype(np.uint8)[:, None]
        order = np.random.default_rng(seed_for("data", self.name)).permutation(TOTAL)
        # Test and validation are at the two ends, so that the size of one does not change the other.
        test, train, validation = np.split(order, [self.test, TOTAL - self.validation])
        splits = {"train": train, "validation": validation, "test": test}
        return {split: (images[rows], found.target[rows]) for split, rows in splits.items()}


source = Digits
