"""Data sources, one per file. A file's name is the source's name in ``params.yaml``, cells and reports."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.core import Event
from flowbench.quadrature import Grid, entropy

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """One data set: its splits, and what is known of the distribution they come from.

    Attributes:
        event: what an example looks like.
        grid: for 2-D data, the square that holds all but a negligible part of the mass, for figures and integrals.
    """

    event: Event
    grid: Grid | None = None

    def splits(self) -> dict[str, np.ndarray]:
        """The train, validation and test splits, each ``(n, *event.shape)``; the same at each call."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its splits are made")

    def log_density(self, x: Tensor) -> Tensor | None:
        """The true log-density of ``(batch, *event)`` in nats, ``(batch,)``; ``None`` if nobody knows it."""
        return None

    def log_energy(self, x: Tensor) -> Tensor | None:
        """For a source that is learnt from an energy: log p(x) up to a constant, ``(batch,)``; else ``None``."""
        return None

    def entropy(self) -> float | None:
        """The true differential entropy in nats, below which no model's test loss can lie; ``None`` if unknown."""
        if self.grid is None or self.log_density(self.grid.points()[:1]) is None:
            return None
        return entropy(self.grid.evaluate(self.log_density, dtype=torch.float64), self.grid)


def names() -> list[str]:
    """All data sources, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(name: str, **options) -> Source:
    """The source called ``name`` with the options that ``params.yaml`` gives under ``data.<name>``."""
    return importlib.import_module(f"flowbench.data.{name}").source(**options)
