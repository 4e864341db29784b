"""The training of a whole cell: every seed of one flow on one data set under one budget."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from tqdm import tqdm

from flowbench import certificates, data
from flowbench.cell import Cell, TeacherError
from flowbench.config import ConfigError
from flowbench.core import FittedModel, FlowModel, Generator, LabelError, ResolutionError, SolverError
from flowbench.records.commit import current_commit
from flowbench.records.files import Host
from flowbench.records.training import (
    HistoryRow,
    Provenance,
    SeedTraining,
    Training,
    TrainTimings,
    save_snapshots,
    weights_path,
)
from flowbench.runtime import device as devices
from flowbench.runtime.files import whole
from flowbench.runtime.processes import for_each_seed
from flowbench.runtime.seeding import seeded
from flowbench.training.batches import INITIALISATION_EXAMPLES, Batches
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.distillation import Distillation
from flowbench.training.loop import train
from flowbench.training.objectives import CompilationError, DataLoss, Objective, ReverseKL
from flowbench.training.snapshots import IMAGES, Snapshots
from flowbench.training.state import Outcome

# A kill undoes this many seconds of work at most, if writing a checkpoint takes no time.
CHECKPOINT_SECONDS = 30.0
# The libraries that results depend on.
_COMPUTING = ("torch", "torchdiffeq", "numpy", "scipy", "scikit-learn", "safetensors")


class _Trained(NamedTuple):
    """What one seed came to, without its weights."""

    record: SeedTraining
    timings: dict[str, float]
    history: list[HistoryRow]
    parameters: int


class CellTraining:
    """Trains a cell and writes the record of it.

    Args:
        cell: resolved.
    """

    def __init__(self, cell: Cell):
        self.cell = cell

    def run(self) -> None:
        """Train all seeds; write the cell's folder whole, or not at all.

        The next run of the same configuration and code continues from what a killed run saved.

        Raises:
            ConfigError: the device has too little memory, torch cannot compile the step, or the teacher is not trained.
        """
        cell, started = self.cell, time.time()
        scratch = self._checkpoints.parent
        for other in [path for path in scratch.glob("*") if path != self._checkpoints]:
            shutil.rmtree(other, ignore_errors=True)
        with whole(cell.folder) as folder:
            weights_path(folder, 0).parent.mkdir()
            with self._explained():  # here too, for a process that was killed cannot explain itself
                seeds = for_each_seed(
                    lambda seed: self._train_seed(seed, folder), cell.names.seeds, cell.device, cell.train.threads
                )
            model = cell.build(cell.names.seeds[0])
            record = Training(
                suite=cell.suite.name,
                cell=cell.key,
                kind="baseline" if isinstance(model, FittedModel) else "flow",
                likelihood=model.likelihood,
                loss_unit=model.loss_unit,
                parameters=max(trained.parameters for trained in seeds.values()),
                seeds={seed: trained.record for seed, trained in seeds.items()},
                provenance=self._provenance(),
            )
            timings = TrainTimings(
                host=Host(**devices.describe(cell.device)),
                git_commit=current_commit(cell.root),
                started=started,
                seeds={seed: trained.timings for seed, trained in seeds.items()},
            )
            record.save(folder, timings, {seed: trained.history for seed, trained in seeds.items()})
        shutil.rmtree(scratch, ignore_errors=True)

    @cached_property
    def _checkpoints(self) -> Path:
        """The folder of what is saved while training, named by everything that the numbers depend on."""
        device = self.cell.device
        identity = self._provenance().model_dump() | {
            "device": [device.type, torch.cuda.get_device_name(device) if device.type == "cuda" else ""],
            "teacher": self._teacher_weights(),
        }
        name = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return self.cell.root / ".cache" / "training" / self.cell.suite.name / self.cell.key / name

    def _teacher_weights(self) -> dict[str, str]:
        """The digest of each of the teacher's files of weights, if there is a teacher."""
        folder = self.cell.teacher_folder
        found = sorted(weights_path(folder, 0).parent.glob("*.safetensors")) if folder else []
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def _train_seed(self, seed: int, folder: Path) -> _Trained:
        """Train one seed; write its weights, return what became of it."""
        cell, started = self.cell, time.time()
        if seed == cell.names.seeds[0]:
            certificates.require_sound(cell.names.flow, cell.source.event, cell.options, cell.where)
        devices.forget(cell.device)
        # This concerns the weights of convolutions alone. A GPU is faster with it, and so is Glow on a CPU.
        model = cell.build(seed).to(cell.device, memory_format=torch.channels_last)
        with seeded(cell.seed(seed, "training")), self._explained():
            outcome = self._fit(model, seed) if isinstance(model, FittedModel) else self._descend(model, seed, folder)
        if outcome.status == "finished":
            weights = {name: value.cpu().contiguous() for name, value in outcome.weights.items()}
            weights_path(folder, seed).write_bytes(save(weights))
        elif outcome.status == "diverged":
            tqdm.write(f"{cell.key} seed {seed}: diverged at step {outcome.diverged_at:,}", file=sys.stderr)
        else:
            tqdm.write(f"{cell.key} seed {seed}: failed; {outcome.reason}", file=sys.stderr)
        steps = outcome.history[-1].step if outcome.history else 0
        examples = steps * self._batch_size
        best = outcome.best_validation_loss
        record = SeedTraining(
            status=outcome.status,
            steps=steps,
            epochs=examples / len(cell.splits["train"]) if self._learns_from_data and steps else None,
            best_step=outcome.best_step,
            best_validation_loss=best if np.isfinite(best) else None,
            diverged_at=outcome.diverged_at,
            reason=outcome.reason,
        )
        timings = {
            "started": started,
            "ended": time.time(),
            "train_seconds": outcome.seconds,
            "peak_memory_mb": devices.peak_memory_mb(cell.device),
            **({"resumed_at": outcome.resumed_at} if outcome.resumed_at else {}),
            **({"train_samples_per_second": examples / outcome.seconds} if examples else {}),
        }
        return _Trained(record, timings, outcome.history, model.parameter_count())

    def _fit(self, model: FittedModel, seed: int) -> Outcome:
        device = self.cell.device
        model.prepare()
        begin = devices.clock(device)
        train_split, validation = (self._split(name).to(device) for name in ("train", "validation"))
        model.fit(train_split, validation)
        outcome = Outcome(weights=model.state_dict(), seconds=devices.clock(device) - begin)
        with torch.no_grad(), seeded(self.cell.seed(seed, "validation")):
            outcome.best_validation_loss = float(model.loss(validation))
        return outcome

    def _descend(self, model: Generator, seed: int, folder: Path) -> Outcome:
        cell = self.cell
        where = f"{cell.where}, budgets.{cell.names.budget}.train"
        try:
            objective = self.objective(model, seed)
        except SolverError as error:
            return Outcome(status="failed", reason=f"{where}: {error}")
        except TeacherError as error:
            return Outcome(status="failed", reason=str(error))
        outcome = train(
            model,
            objective,
            cell.train,
            title=f"{cell.key} seed {seed}",
            snapshots=self._snapshots(model) if seed == cell.names.seeds[0] else None,
            checkpoints=Checkpoints(self._checkpoints / f"seed-{seed}", CHECKPOINT_SECONDS),
        )
        if outcome.status == "failed":
            outcome.reason = f"{where}: {outcome.reason}"
        if outcome.resumed_at:
            tqdm.write(f"{cell.key} seed {seed}: went on after step {outcome.resumed_at:,}", file=sys.stderr)
        if outcome.snapshots:
            save_snapshots(folder, outcome.snapshots)
        return outcome

    def objective(self, model: Generator, seed: int) -> Objective:
        """What a seed is trained for: a teacher's density, an energy, or the model's own loss on data."""
        cell, budget, validation_seed = self.cell, self.cell.train, self.cell.seed(seed, "validation")
        if cell.names.teacher:
            return Distillation.of(model, cell.teacher(seed), budget, validation_seed, cell.where)
        if cell.source.is_energy:
            if not isinstance(model, FlowModel):
                raise ConfigError(f"{cell.where}: {cell.key}: an energy needs a flow that has a density")
            return ReverseKL(
                model,
                cell.source.log_energy,
                budget.batch_size,
                budget.anneal_steps,
                validation_seed,
                compile=budget.compile,
            )
        if self._batch_size < model.least_batch:
            raise ConfigError(
                f"{cell.budget_key('train', 'batch_size')}: {cell.key} needs batches of at least {model.least_batch} "
                f"examples, got {self._batch_size}"
            )
        train_split = self._examples(model, "train")
        model.initialise(train_split[:INITIALISATION_EXAMPLES].to(cell.device))
        return DataLoss(
            model,
            Batches(train_split, budget.batch_size, cell.device, horizontal_flips=budget.horizontal_flips),
            self._examples(model, "validation")[: budget.validation_examples].to(cell.device),
            validation_seed,
            compile=budget.compile,
        )

    def _snapshots(self, model: Generator) -> Snapshots | None:
        """Of a density in the plane or, without a density, of images; of others none are taken."""
        source, budget = self.cell.source, self.cell.train
        if source.grid and isinstance(model, FlowModel):
            return Snapshots.of_density(model, budget, source.grid, energy=source.is_energy)
        if source.event.levels and not isinstance(model, FlowModel):
            return Snapshots.of_images(budget, self._split("validation")[:IMAGES].to(self.cell.device))
        return None

    def _split(self, name: str) -> torch.Tensor:
        """A split as it lies on the disk: the processes of all seeds share one copy in memory."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and nothing here writes to it
            return torch.from_numpy(self.cell.splits[name])

    def _examples(self, model: Generator, name: str) -> torch.Tensor:
        """A split as a model learns from it: with classes, flattened examples that end with their labels."""
        split = self._split(name)
        if not model.classes:
            return split
        labels = torch.from_numpy(np.array(self.cell.labels[name]))
        return torch.column_stack((split.flatten(1), labels.to(split.dtype)))

    @property
    def _learns_from_data(self) -> bool:
        """Whether the training split is what is learnt from, and not an energy or a teacher."""
        return not self.cell.source.is_energy and not self.cell.names.teacher

    @property
    def _batch_size(self) -> int:
        """Examples a step."""
        wanted = self.cell.train.batch_size
        return min(wanted, len(self.cell.splits["train"])) if self._learns_from_data else wanted

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the device, the compiler or a map refuses into a `ConfigError` that names the option."""
        cell = self.cell
        try:
            yield
        except Exception as error:
            if devices.is_out_of_memory(error):
                raise cell.too_large("train") from error
            if isinstance(error, ResolutionError | LabelError):
                raise ConfigError(f"data/{cell.names.data}: {error}") from None
            # Its class, imported, would bring the compiler into every training.
            if not (isinstance(error, CompilationError) or type(error).__module__.startswith("torch._dynamo")):
                raise
            reason, *_ = str(error).strip().split("\n\n")
            raise ConfigError(
                f"{cell.budget_key('train')}.compile = true: torch cannot compile {cell.key} here, choose false; "
                f"it says: {' '.join(reason.split())}"
            ) from error

    def _provenance(self) -> Provenance:
        cell = self.cell
        code: dict[str, str] = {}
        for part in ("stages/train", f"flows/{cell.names.flow}", f"data/{cell.names.data}"):
            path = cell.root / "code" / f"{part}.json"
            code |= json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        params: dict[str, dict[str, Any]] = {
            "cell": cell.names.model_dump(exclude_none=True),
            "data": cell.data_options,
            "flow": cell.options,
            "budget": cell.train.model_dump(),
        }
        versions = {"python": platform.python_version(), **{name: version(name) for name in _COMPUTING}}
        return Provenance(data=data.fingerprint(cell.data_folder), params=params, code=code, versions=versions)
