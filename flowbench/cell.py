"""One cell, resolved: its options, budget, device, data and folders, looked up once and handed down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch

from flowbench import config, data, flows
from flowbench.config import PARAMS, ConfigError, EvaluateBudget, Suite, TrainBudget, suites
from flowbench.core import Generator
from flowbench.data import Source
from flowbench.records.errors import RecordError
from flowbench.records.training import Training
from flowbench.runtime import device as devices
from flowbench.runtime.seeding import seed_for, seeded


class TeacherError(ConfigError):
    """A seed of the teacher has not been trained to the end, so that this seed of the student cannot be."""


@dataclass(frozen=True)
class Cell:
    """A cell of a suite with everything that its configuration names.

    Attributes:
        suite, key: its place in the configuration.
        names: the names that the suite gives: of its data, flow, configuration, budget, seeds, device and teacher.
        data_options: of the data source.
        options: of the flow, with the defaults filled in.
        train, evaluate: its budget.
        source: of its data.
        root: the repository's root, which holds ``data/``, ``code/`` and ``results/``.
    """

    suite: Suite
    key: str
    names: config.CellConfig
    data_options: dict[str, Any]
    options: dict[str, Any]
    train: TrainBudget
    evaluate: EvaluateBudget
    source: Source
    root: Path

    @classmethod
    def resolve(cls, suite: str, key: str, root: Path = Path()) -> Self:
        """Read the configuration below ``root``, and check what concerns this cell.

        Raises:
            ConfigError: a mistake in ``params.yaml``, in the suite's file or in the options of the cell.
        """
        params = config.load(root / PARAMS)
        found = suites.load_fresh(suite, params, root)
        names = found.cell(key)
        flows.check_teacher(names.flow, names.teacher and found.cells[names.teacher].flow, f"{found.source}: {key}")
        cell = cls(
            suite=found,
            key=key,
            names=names,
            data_options=params.data[names.data],
            options=params.flows[names.flow][names.config],
            train=params.budgets[names.budget].train,
            evaluate=params.budgets[names.budget].evaluate,
            source=data.load(names.data, **params.data[names.data]),
            root=root,
        )
        return replace(cell, options=flows.check(names.flow, cell.options, cell.where))

    @property
    def where(self) -> str:
        """The file and key of the flow's options, for messages."""
        return f"{PARAMS}: flows.{self.names.flow}.{self.names.config}"

    def budget_key(self, part: str, option: str = "") -> str:
        """The file and key of the budget's ``part``, or of an option in it with its value, for messages."""
        key = f"{PARAMS}: budgets.{self.names.budget}.{part}"
        return f"{key}.{option} = {getattr(getattr(self, part), option)}" if option else key

    def too_large(self, part: Literal["train", "evaluate"]) -> ConfigError:
        """What a device with too little memory for the budget's ``part`` is refused with."""
        return ConfigError(
            f"{self.budget_key(part, 'batch_size')}: {self.key} needs more memory than is free on the "
            f"{self.device.type} device; choose a smaller one"
        )

    @property
    def title(self) -> str:
        """What its pictures are called: the label on the data."""
        return f"{self.suite.label(self.key)} on {self.names.data}"

    @property
    def folder(self) -> Path:
        """``results/<suite>/<cell>``."""
        return self.root / self.suite.results / self.key

    @property
    def data_folder(self) -> Path:
        """``data/<data set>``."""
        return self.root / "data" / self.names.data

    @cached_property
    def device(self) -> torch.device:
        """What the suite asks for; a `ConfigError` says that a GPU is missing."""
        return devices.pick(self.names.device, f"{self.suite.source}: device")

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """The train, validation and test splits, as read-only memory maps."""
        return data.read(self.data_folder)

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """The labels of the splits, ``(n,)`` int64, as read-only memory maps."""
        return data.read_labels(self.data_folder)

    @cached_property
    def unit(self) -> np.ndarray:
        """What errors and distances are counted in, of the shape of an event, float32.

        Of features with arbitrary units, the standard deviation in the training split; of others, 1.
        """
        if not self.source.units_are_arbitrary:
            return np.ones(self.source.event.shape, np.float32)
        deviation = self.splits["train"].std(0, dtype=np.float64).astype(np.float32)
        return np.where(deviation > 0, deviation, np.float32(1))

    def seed(self, seed: int, purpose: str) -> int:
        """The random seed of one training for one purpose: it depends on names alone."""
        return seed_for(self.names.data, self.names.flow, self.names.config, seed, purpose)

    def build(self, seed: int) -> Generator:
        """The model with its initial parameters, on the CPU."""
        with seeded(self.seed(seed, "parameters")):
            return flows.build(self.names.flow, self.source.event, self.options, self.where)

    def trained(self, training: Training, seed: int) -> Generator:
        """The model of a seed that finished, of this cell or of another on the same data, on the cell's device."""
        params = training.provenance.params
        model = flows.build(params["cell"]["flow"], self.source.event, params["flow"], self.where)
        model.load_state_dict(training.weights(seed))
        return model.to(self.device).eval()

    @property
    def teacher_folder(self) -> Path | None:
        """``results/<suite>/<teacher>``; ``None`` for a cell without a teacher."""
        return self.folder.parent / self.names.teacher if self.names.teacher else None

    def teacher(self, seed: int) -> Generator:
        """A trained seed of the teacher, on the cell's device.

        Raises:
            ConfigError: the teacher has not been trained.
            TeacherError: this seed of it is not among those that were, or has diverged or failed.
        """
        assert self.teacher_folder is not None
        where = f"{self.suite.source}: {self.key}: teacher = {self.names.teacher!r}"
        try:
            training = Training.load(self.teacher_folder)
            if seed not in training.seeds:
                raise TeacherError(f"{where}: has no seed {seed}; train it with the seeds of the suite")
            if (status := training.seeds[seed].status) != "finished":
                raise TeacherError(f"{where}: seed {seed} of it has {status}; choose another teacher")
            return self.trained(training, seed)
        except RecordError as error:
            raise ConfigError(f"{where}: {error}") from None
