"""Trained models as the cells on disk hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowbench import data, flows
from flowbench.config import ConfigError
from flowbench.core import Event, Generator
from flowbench.export.reading import FLOW
from flowbench.records.files import TRAINED, TRAINING
from flowbench.records.training import Training


def read(folder: Path, seed: int | None) -> Generator:
    """The model of a cell's seed; the one that validated best if ``seed`` is ``None``.

    Raises:
        RecordError: a file is missing, of another format or damaged.
        ConfigError: this is no folder of a cell, or there is no such seed.
    """
    if not (folder / TRAINED / TRAINING).is_file():
        raise ConfigError(f"{folder}: holds neither {FLOW} of an export nor {TRAINED}/{TRAINING} of a cell")
    training = Training.load(folder)
    params = training.provenance.params
    seed = training.best_seed if seed is None else seed
    if seed not in training.finished:
        there = ", ".join(map(str, training.finished)) or "none"
        raise ConfigError(f"{folder}: seed {seed} was not trained to the end; choose from {there}")
    model = flows.build(params["cell"]["flow"], event_of(params), params["flow"], str(folder))
    model.load_state_dict(training.weights(seed))
    return model


def event_of(params: dict[str, Any]) -> Event:
    """What the data of a cell look like, from the parameters on record."""
    return data.load(params["cell"]["data"], **params["data"]).event
