"""Files of a cell: read, or refused in one line that says how to make them again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from flowbench.config.suites import stage
from flowbench.runtime.errors import ExpectedError

# Raised by one whenever older files can no longer be read.
FORMAT = 2
TRAINED, TRAINING = "trained", "training.json"
HISTORY, TRAIN_TIMINGS = "history.csv", "train_timings.json"
METRICS_FILE, SEEDS, LOG_PROB, TIMINGS, PICTURES = "metrics.json", "seeds.csv", "log_prob", "timings.json", "pictures"


class RecordError(ExpectedError):
    """A file of a cell is missing, of an older format or damaged; one line says which, and how to make it again."""


class Part(BaseModel):
    """A part of a record that is stored as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Host(Part):
    """A machine without its name: the device kind and name, and the processor, cores and system."""

    device: str
    device_name: str
    host: dict[str, Any]

    @property
    def place(self) -> str:
        """The device in a word or two: ``cpu``, or the model of the GPU."""
        return self.device if self.device == "cpu" else self.device_name

    def __str__(self) -> str:
        device = self.device if self.device == "cpu" else f"{self.device} ({self.device_name})"
        return f"{device}: {self.host['cpu']}, {self.host['cores']} cores, {self.host['system']}"


_Model = TypeVar("_Model", bound=BaseModel)


def read_json(path: Path, model: type[_Model], folder: Path) -> _Model:
    try:
        document = json.loads(read_text(path, folder))
    except ValueError as error:
        raise RecordError(f"{path}: {again(folder, f'is damaged ({error})')}") from None
    found = document.get("format") if isinstance(document, dict) else None
    if "format" in model.model_fields and found != FORMAT:
        raise RecordError(f"{path}: {again(folder, f'is of format {found or 1}, and this version reads {FORMAT}')}")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        reason = f"{key}: {first['msg'].lower()}"
        raise RecordError(f"{path}: {again(folder, reason)}") from None


def read_text(path: Path, folder: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise RecordError(f"{path}: {again(folder, reason)}") from None


def again(folder: Path, reason: str) -> str:
    """What is wrong, and how the cell is made again."""
    suite, key = folder.parent.name, folder.name
    return f"{reason}; make it again with: dvc repro --single-item --force {stage(suite, 'train', key)}"


def read_csv(path: Path, folder: Path) -> Iterable[dict[str, str]]:
    return csv.DictReader(read_text(path, folder).splitlines())


def write_csv(path: Path, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
