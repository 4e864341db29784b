"""What one example of a data set looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Mixture:
    """Equal isotropic Gaussians about ``centres``, all with the standard deviation ``std``."""

    centres: tuple[tuple[float, ...], ...]
    std: float


@dataclass(frozen=True)
class Event:
    """What one example of a data set looks like, and how models are to preprocess it.

    Attributes:
        shape: shape of one example, without the batch.
        levels: number of grey levels of integer data, which is then dequantised; ``None`` if continuous.
        standardise: whether models of vectors shift and scale each feature to zero mean and unit variance.
        start: what models are to transport to the data; ``None`` for the prior of their choice.
        classes: number of classes that the labels of the examples name, which are 0, 1 and so on; ``None`` if the data
            has no labels.
    """

    shape: tuple[int, ...]
    levels: int | None = None
    standardise: bool = True
    start: Mixture | None = None
    classes: int | None = None

    @property
    def dims(self) -> int:
        """Number of dimensions D of one example."""
        return math.prod(self.shape)
