"""What a data source is."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import dataclass_transform

import numpy as np
import torch
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event
from flowbench.numerics.quadrature import Grid, entropy
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.files import without_secrets
from flowbench.runtime.seeding import seed_for

SPLITS = ("train", "validation", "test")


class DataError(ExpectedError):
    """Data is missing, is wrong, or cannot be written."""

    def __init__(self, message: str):
        super().__init__(without_secrets(message))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Source:
    """One data set: its splits, and what is known about the distribution that they come from.

    A subclass is a frozen dataclass without a decorator. Its attributes with annotations are the options that
    ``params.yaml`` gives, and the annotations say which values are right. What is no option has no annotation, or is a
    property. A source whose options are wrong together raises a `ValueError`.

    Attributes:
        constant_features_allowed: whether a continuous feature may have one value in the whole training split. Such a
            feature has no density, so it is refused by default.
        units_are_arbitrary: whether each feature has a unit of its own, as the columns of a table have. Errors and
            distances are then counted in standard deviations of the feature, and not in units of the data.
    """

    constant_features_allowed = False
    units_are_arbitrary = False

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    @property
    def event(self) -> Event:
        """What an example looks like."""
        raise NotImplementedError(f"{type(self).__name__} does not say what an example looks like")

    @property
    def grid(self) -> Grid | None:
        """For 2-D data, the square that holds nearly all of the mass. Figures and integrals use it."""
        return None

    @cached_property
    def name(self) -> str:
        """The name of the data set: the key in ``params.yaml`` or, if it was made otherwise, the source's file."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def names(self) -> list[str]:
        """The names of the features, in the order of a flattened example."""
        return [f"x{i}" for i in range(1, self.event.dims + 1)]

    def files(self) -> tuple[Path, ...]:
        """The local files that `splits` reads, relative to the repository's root.

        The pipeline makes the data set again when one of them changes.
        """
        return ()

    def splits(self) -> dict[str, np.ndarray]:
        """The train, validation and test splits, each ``(n, *event.shape)``. Each call gives the same."""
        if self.event.classes:
            return {split: examples for split, (examples, _) in self.labelled().items()}
        raise NotImplementedError(f"{type(self).__name__} does not say how its splits are made")

    def labelled(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The splits of data with classes, and the label of each example, ``(n,)``.

        Labels are whole numbers from 0, or texts, whose alphabetical order is that of the classes.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its labels are")

    def log_density(self, x: Tensor) -> Tensor | None:
        """The true log-density of ``(batch, *event)`` in nats, ``(batch,)``; ``None`` if it is unknown."""
        return None

    def log_energy(self, x: Tensor) -> Tensor | None:
        """log p(x) up to a constant, ``(batch,)``, if models learn from it; ``None`` if they learn from data."""
        return None

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """The true mean and standard deviation of each feature, if a report shows them beside the learnt ones."""
        return None

    @property
    def is_energy(self) -> bool:
        """Whether models learn from `log_energy` and not from the training split."""
        return type(self).log_energy is not Source.log_energy

    def entropy(self) -> float | None:
        """The true differential entropy in nats, which is the lowest expected loss; ``None`` if it is unknown."""
        if self.grid is None or self.log_density(self.grid.points()[:1]) is None:
            return None
        return entropy(self.grid.evaluate(self.log_density, dtype=torch.float64), self.grid)


class SampledSource(Source):
    """A distribution that can be sampled without limit. Each split is a sample of the given size."""

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, *event.shape)`` examples."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is sampled")

    def splits(self) -> dict[str, np.ndarray]:
        # Each split has its own generator, because the size of one split must not change another.
        rngs = {split: np.random.default_rng(seed_for("data", self.name, split)) for split in SPLITS}
        return {split: self.draw(getattr(self, split), rng).astype(np.float32) for split, rng in rngs.items()}
