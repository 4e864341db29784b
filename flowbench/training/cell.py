"""The training of a whole cell: every seed of one flow on one data set under one budget."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from tqdm import tqdm

from flowbench import data, flows
from flowbench.config import PARAMS, ConfigError, Params
from flowbench.core import FittedModel, FlowModel, SolverError
from flowbench.numerics.quadrature import Grid
from flowbench.runtime import device as devices
from flowbench.runtime.files import whole, write_json
from flowbench.runtime.processes import for_each_seed
from flowbench.runtime.seeding import seed_for, seeded
from flowbench.training.batches import Batches
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.loop import train
from flowbench.training.objectives import CompilationError, DataLoss, Objective, ReverseKL
from flowbench.training.state import Outcome

# Enough training data for data-dependent initialisation.
_INITIALISATION_EXAMPLES = 50_000
_SNAPSHOT_SAMPLES = 50_000
_SNAPSHOT_CELLS = 100
# What a kill undoes, at most, where a checkpoint is written in no time.
CHECKPOINT_SECONDS = 30.0
# The libraries that results depend on.
_COMPUTING = ("torch", "torchdiffeq", "numpy", "scipy", "scikit-learn", "safetensors")


class CellTraining:
    """Trains a cell of ``params.yaml`` and writes what came of it.

    Args:
        params: the whole configuration.
        key: the cell's key among the active ones.
        root: the repository's root, which holds ``data/``, ``code/`` and ``results/``.

    Attributes:
        stage: the stage that trains such cells, whose code is on record.
    """

    stage = "train"

    def __init__(self, params: Params, key: str, root: Path = Path()):
        self.key, self.root = key, root
        self.cell = params.cell(key)
        self.data_options = params.data[self.cell.data]
        self.budget = params.budgets[self.cell.budget].train
        where = f"flows.{self.cell.flow}.{self.cell.config}"
        # With the defaults, so that the record says all that the model was made of.
        self.options = flows.check(self.cell.flow, params.options(self.cell), where)
        self.device = devices.pick(self.budget.device, f"budgets.{self.cell.budget}.train.device")
        self.source = data.load(self.cell.data, **self.data_options)
        self.data_folder = root / "data" / self.cell.data
        self.splits = data.read(self.data_folder)

    def run(self) -> None:
        """Train all seeds; write ``results/<cell>/`` whole, or not at all.

        What a kill leaves behind, the next run of the same configuration and code goes on from.
        """
        started = time.time()
        scratch = self._checkpoints.parent
        for other in [path for path in scratch.glob("*") if path != self._checkpoints]:
            shutil.rmtree(other, ignore_errors=True)
        with whole(self.root / "results" / self.key) as folder:
            (folder / "trained").mkdir()
            with self._explained():  # here too, for a process that was killed cannot explain itself
                seeds = for_each_seed(
                    lambda seed: self._train_seed(seed, folder), self.budget.seeds, self.device, self.budget.threads
                )
            self._write_history(folder / "history.csv", {seed: result.pop("history") for seed, result in seeds.items()})
            timings = {seed: result.pop("timings") for seed, result in seeds.items()}
            parameters = [result.pop("parameters") for result in seeds.values()]
            model = self.build(self.budget.seeds[0])
            write_json(
                folder / "training.json",
                {
                    "cell": self.key,
                    "kind": "baseline" if isinstance(model, FittedModel) else "flow",
                    "likelihood": model.likelihood,
                    "parameters": max(parameters),
                    "seeds": seeds,
                    "provenance": self._provenance(),
                },
            )
            write_json(
                folder / "train_timings.json",
                {**devices.describe(self.device), "git_commit": _git_commit(), "started": started, "seeds": timings},
            )

        shutil.rmtree(scratch, ignore_errors=True)

    @cached_property
    def _checkpoints(self) -> Path:
        """The folder of what is saved while training, by all that the numbers depend on."""
        identity = json.dumps(self._identity(), sort_keys=True, default=str)
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return self.root / ".cache" / "training" / self.key / name

    def _identity(self) -> dict[str, Any]:
        """What would make other numbers if it were another."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        return self._provenance() | {"device": [self.device.type, name]}

    def build(self, seed: int) -> FlowModel:
        """The cell's model with its initial parameters, on the CPU."""
        with seeded(self._seed(seed, "parameters")):
            where = f"flows.{self.cell.flow}.{self.cell.config}"
            return flows.build(self.cell.flow, self.source.event, self.options, where)

    def _seed(self, seed: int, purpose: str) -> int:
        return seed_for(self.cell.data, self.cell.flow, self.cell.config, seed, purpose)

    def _train_seed(self, seed: int, folder: Path) -> dict[str, Any]:
        """Train one seed; write its weights, return its record."""
        started = time.time()
        devices.forget(self.device)
        # Of all weights this concerns those of convolutions alone, which a GPU is faster with, and so is Glow on a CPU.
        model = self.build(seed).to(self.device, memory_format=torch.channels_last)
        with seeded(self._seed(seed, "training")), self._explained():
            outcome = self._fit(model, seed) if isinstance(model, FittedModel) else self._descend(model, seed, folder)
        if outcome.status == "finished":
            weights = {name: value.cpu().contiguous() for name, value in outcome.weights.items()}
            (folder / "trained" / f"seed-{seed}.safetensors").write_bytes(save(weights))
        elif outcome.status == "diverged":
            tqdm.write(f"{self.key} seed {seed}: diverged at step {outcome.diverged_at:,}", file=sys.stderr)
        else:
            tqdm.write(f"{self.key} seed {seed}: failed; {outcome.reason}", file=sys.stderr)
        steps = outcome.history[-1][0] if outcome.history else 0
        examples = steps * self._batch_size
        return {
            "status": outcome.status,
            "steps": steps,
            "epochs": examples / len(self.splits["train"]) if self.learns_from_data and steps else None,
            "best_step": outcome.best_step,
            "best_validation_loss": outcome.best_validation_loss,
            "diverged_at": outcome.diverged_at,
            **({"reason": outcome.reason} if outcome.reason else {}),
            "parameters": model.parameter_count(),
            "history": outcome.history,
            "timings": {
                "started": started,
                "ended": time.time(),
                "train_seconds": outcome.seconds,
                "peak_memory_mb": devices.peak_memory_mb(self.device),
                **({"resumed_at": outcome.resumed_at} if outcome.resumed_at else {}),
                **({"train_samples_per_second": examples / outcome.seconds} if examples else {}),
            },
        }

    def _fit(self, model: FittedModel, seed: int) -> Outcome:
        model.prepare()
        begin = devices.clock(self.device)
        train_split, validation = (self._split(name).to(self.device) for name in ("train", "validation"))
        model.fit(train_split, validation)
        outcome = Outcome(weights=model.state_dict(), seconds=devices.clock(self.device) - begin)
        with torch.no_grad(), seeded(self._seed(seed, "validation")):
            outcome.best_validation_loss = float(model.loss(validation))
        return outcome

    def _descend(self, model: FlowModel, seed: int, folder: Path) -> Outcome:
        where = f"{PARAMS}: flows.{self.cell.flow}.{self.cell.config}, budgets.{self.cell.budget}.train"
        try:
            objective = self._objective(model, seed)
        except SolverError as error:
            return Outcome(status="failed", reason=f"{where}: {error}")
        outcome = train(
            model,
            objective,
            self.budget,
            title=f"{self.key} seed {seed}",
            snapshot=self._snapshot if self.source.is_energy and seed == self.budget.seeds[0] else None,
            checkpoints=Checkpoints(self._checkpoints / f"seed-{seed}", CHECKPOINT_SECONDS),
        )
        if outcome.status == "failed":
            outcome.reason = f"{where}: {outcome.reason}"
        if outcome.resumed_at:
            tqdm.write(f"{self.key} seed {seed}: went on after step {outcome.resumed_at:,}", file=sys.stderr)
        if outcome.snapshots:
            steps, frames = np.array(list(outcome.snapshots)), np.stack([*map(np.asarray, outcome.snapshots.values())])
            np.savez(folder / "trained" / "snapshots.npz", steps=steps, frames=frames)
        return outcome

    def _objective(self, model: FlowModel, seed: int) -> Objective:
        """What a seed is trained for, the model's data-dependent parameters being set."""
        budget, validation_seed = self.budget, self._seed(seed, "validation")
        if self.source.is_energy:
            return ReverseKL(
                model,
                self.source.log_energy,
                budget.batch_size,
                budget.anneal_steps,
                validation_seed,
                compile=budget.compile,
            )
        if self._batch_size < model.least_batch:
            raise ConfigError(
                f"{PARAMS}: budgets.{self.cell.budget}.train.batch_size = {budget.batch_size}: {self.key} needs "
                f"batches of at least {model.least_batch} examples, got {self._batch_size}"
            )
        train_split = self._split("train")
        model.initialise(train_split[:_INITIALISATION_EXAMPLES].to(self.device))
        return DataLoss(
            model,
            Batches(train_split, budget.batch_size, self.device, horizontal_flips=budget.horizontal_flips),
            self._split("validation")[: budget.validation_examples].to(self.device),
            validation_seed,
            compile=budget.compile,
        )

    def _snapshot(self, model: FlowModel) -> torch.Tensor:
        """The learnt density as a histogram of samples on the source's grid, ``(cells, cells)`` float32."""
        assert self.source.grid is not None
        grid = Grid(self.source.grid.low, self.source.grid.high, _SNAPSHOT_CELLS)
        with torch.no_grad(), seeded(seed_for("snapshot")):
            x = model.sample(_SNAPSHOT_SAMPLES).cpu().numpy()
        counts, _, _ = np.histogram2d(x[:, 1], x[:, 0], bins=grid.size, range=[(grid.low, grid.high)] * 2)
        return torch.from_numpy((counts / (len(x) * grid.cell_area)).astype(np.float32))

    def _split(self, name: str) -> torch.Tensor:
        """A split as it lies on the disk: the processes of all seeds share one copy in memory."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and nothing here writes to it
            return torch.from_numpy(self.splits[name])

    @property
    def learns_from_data(self) -> bool:
        """Whether the training split is what is learnt from, and not a density."""
        return not self.source.is_energy

    @property
    def _batch_size(self) -> int:
        """Examples a step."""
        wanted = self.budget.batch_size
        return min(wanted, len(self.splits["train"])) if self.learns_from_data else wanted

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say which key to change where the budget asks for what this machine cannot do."""
        budget = f"{PARAMS}: budgets.{self.cell.budget}.train"
        try:
            yield
        except Exception as error:
            if devices.is_out_of_memory(error):
                raise ConfigError(
                    f"{budget}.batch_size = {self.budget.batch_size}: {self.key} needs more memory than is free on the "
                    f"{self.device.type} device; choose a smaller one"
                ) from error
            # Its class, imported, would bring the compiler into every training.
            if not (isinstance(error, CompilationError) or type(error).__module__.startswith("torch._dynamo")):
                raise
            reason, *_ = str(error).strip().split("\n\n")
            raise ConfigError(
                f"{budget}.compile = true: torch cannot compile {self.key} here, choose false; "
                f"it says: {' '.join(reason.split())}"
            ) from error

    def _write_history(self, path: Path, histories: dict[int, list[tuple]]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["seed", "step", "loss", "validation_loss", "learning_rate"])
            for seed, rows in histories.items():
                writer.writerows([seed, *("" if value is None else repr(value) for value in row)] for row in rows)

    def _provenance(self) -> dict[str, Any]:
        """What the result depends on: data, parameters, code, and the versions of what computed it."""
        code: dict[str, str] = {}
        for part in (f"stages/{self.stage}", f"flows/{self.cell.flow}", f"data/{self.cell.data}"):
            path = self.root / "code" / f"{part}.json"
            code |= json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {
            "data": data.fingerprint(self.data_folder),
            "params": {
                "cell": self.cell.model_dump(),
                "data": self.data_options,
                "flow": self.options,
                "budget": self.budget.model_dump(),
            },
            "code": code,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in _COMPUTING},
            },
        }


def _git_commit() -> str:
    """The commit that is checked out, with ``-dirty`` if files differ from it; empty outside of a repository.

    Not if only ``dvc.lock`` or a report does, which DVC rewrites while it runs, or ``params.yaml``, whose values are
    on record. Files that git does not track count where code lies.
    """

    def git(*command: str) -> str:
        return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()

    try:
        changes = git(
            "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock", ":!reports", ":!params.yaml"
        )
        changes += git("ls-files", "--others", "--exclude-standard", "--", "flowbench", "stages")
        return git("rev-parse", "HEAD") + ("-dirty" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
