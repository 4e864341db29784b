"""The record of a training: one load and one save."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import PrivateAttr

from flowbench.records.errors import RecordError
from flowbench.records.files import (
    FORMAT,
    HISTORY,
    SNAPSHOTS,
    TRAIN_TIMINGS,
    TRAINED,
    TRAINING,
    Host,
    Part,
    read_csv,
    read_json,
    reading,
    write_csv,
)
from flowbench.runtime.files import write_json

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Status = Literal["finished", "diverged", "failed"]


class SeedTraining(Part):
    """What became of one seed.

    Attributes:
        status: ``finished``; ``diverged`` where a loss was not finite; ``failed`` where an equation had no solution.
        steps: optimiser steps that were done.
        epochs: passes over the training split; ``None`` where none is learnt from.
        best_step, best_validation_loss: where the weights come from; ``None`` without a finite validation loss.
        diverged_at: step of the first loss on record that was not finite.
        reason: why it failed, with the option to change.
    """

    status: Status
    steps: int
    epochs: float | None
    best_step: int
    best_validation_loss: float | None
    diverged_at: int | None = None
    reason: str = ""


class Provenance(Part):
    """What a result depends on.

    Attributes:
        data: SHA-256 of each split.
        params: ``cell``, ``data``, ``flow`` and ``budget``, each with the defaults filled in.
        code: digest of each source file that the training runs.
        versions: of Python and of the libraries that compute.
    """

    data: dict[str, str]
    params: dict[str, dict[str, Any]]
    code: dict[str, str]
    versions: dict[str, str]


class TrainTimings(Part):
    """The parts of a training's record that depend on the host.

    Attributes:
        git_commit: that was checked out, with ``-dirty`` where files differ from it; empty if unknown.
        started: seconds since 1970.
        seeds: for each seed ``started``, ``ended``, ``resumed_at`` where a kill was survived, and metrics by name.
    """

    host: Host
    git_commit: str
    started: float
    seeds: dict[int, dict[str, float]]


class HistoryRow(NamedTuple):
    """One row of the losses while training; ``validation_loss`` is ``None`` where it was not measured."""

    step: int
    loss: float
    validation_loss: float | None
    learning_rate: float


# Of ``history.csv``.
_COLUMNS = ("seed", *HistoryRow._fields)


class Training(Part):
    """How a cell was trained: ``trained/training.json``, and the files beside it once they are asked for.

    Attributes:
        suite, cell: its name.
        kind: ``baseline`` where it is no flow.
        likelihood: what its log p(x) is: ``exact``, ``estimate``, ``bound`` or ``none``.
        loss_unit: of the losses in its history, in words.
        parameters: how many numbers are learnt.
        seeds: what became of each.
        provenance: what the result depends on.
    """

    format: int = FORMAT
    suite: str
    cell: str
    kind: Literal["flow", "baseline"]
    likelihood: str
    loss_unit: str
    parameters: int
    seeds: dict[int, SeedTraining]
    provenance: Provenance
    _folder: Path = PrivateAttr(default_factory=Path)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a cell's training from its folder; a `RecordError` says what is wrong with which file."""
        training = read_json(folder / TRAINED / TRAINING, cls, folder)
        training._folder = folder
        return training

    def save(self, folder: Path, timings: TrainTimings, history: dict[int, list[HistoryRow]]) -> None:
        """Write all but the weights and the snapshots, which are in ``folder / "trained"`` already."""
        write_json(folder / TRAINED / TRAINING, self.model_dump())
        write_json(folder / TRAIN_TIMINGS, timings.model_dump())
        rows = [(seed, *row) for seed, of_seed in history.items() for row in of_seed]
        write_csv(folder / HISTORY, _COLUMNS, rows)

    @cached_property
    def timings(self) -> TrainTimings:
        """What depends on the host."""
        return read_json(self._folder / TRAIN_TIMINGS, TrainTimings, self._folder)

    @cached_property
    def history(self) -> dict[int, list[HistoryRow]]:
        """Losses by seed."""
        history: dict[int, list[HistoryRow]] = {}
        with reading(self._folder / HISTORY, self._folder):
            for seed, step, loss, validation, rate in read_csv(self._folder / HISTORY, self._folder, _COLUMNS):
                row = HistoryRow(int(step), float(loss), float(validation) if validation else None, float(rate))
                history.setdefault(int(seed), []).append(row)
        return history

    @property
    def finished(self) -> list[int]:
        """The seeds that were trained to the end."""
        return [seed for seed, training in self.seeds.items() if training.status == "finished"]

    @property
    def best_seed(self) -> int:
        """The seed of the lowest validation loss; a `RecordError` if none was trained to the end."""
        losses = {seed: self.seeds[seed].best_validation_loss for seed in self.finished}
        if not losses:
            raise RecordError(f"{self.cell}: no seed of it was trained to the end")
        return min(losses, key=lambda seed: (losses[seed] is None, losses[seed] or 0.0))

    def weights(self, seed: int) -> dict[str, Tensor]:
        """The state of a seed's model; a `RecordError` says that it is not there."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = weights_path(self._folder, seed)
        with reading(path, self._folder):
            try:
                return load_file(path)
            except SafetensorError as error:
                raise ValueError(str(error)) from None

    def snapshots(self) -> tuple[np.ndarray, list[int]] | None:
        """What was seen of the first seed while it learnt, ``(k, …)``, and after which steps; ``None`` if nothing was.

        In the plane densities, float16, whose rows follow the second coordinate. Of an autoencoder the first
        validation images and their reconstructions, ``(k, 2, n, *event)``, uint8 from 0 to 255.
        """
        import numpy as np

        path = self._folder / TRAINED / SNAPSHOTS
        if not path.exists():
            return None
        with reading(path, self._folder):
            arrays = np.load(path, allow_pickle=False)
            return arrays["frames"], arrays["steps"].tolist()


def save_snapshots(folder: Path, snapshots: Mapping[int, Tensor]) -> None:
    """Write what `Training.snapshots` reads: by step, in their order, what was seen of the first seed."""
    import numpy as np

    steps, frames = np.array(list(snapshots)), np.stack([frame.numpy() for frame in snapshots.values()])
    np.savez_compressed(folder / TRAINED / SNAPSHOTS, steps=steps, frames=frames)


def weights_path(folder: Path, seed: int) -> Path:
    """Where the weights of a seed are."""
    return folder / TRAINED / f"seed-{seed}.safetensors"
