"""Files of a cell: read, or refused in one line that says how to make them again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict, ValidationError

from flowbench.config.suites import stage
from flowbench.records.errors import RecordError

# Raised by one whenever older files can no longer be read.
FORMAT = 3
TRAINED, TRAINING, SNAPSHOTS = "trained", "training.json", "snapshots.npz"
HISTORY, TRAIN_TIMINGS = "history.csv", "train_timings.json"
METRICS_FILE, SEEDS_FILE, LOG_PROB, TIMINGS, PICTURES = (
    "metrics.json",
    "seeds.csv",
    "log_prob",
    "timings.json",
    "pictures",
)


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
    with reading(path, folder):
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document.get("format") if isinstance(document, dict) else None
        if "format" in model.model_fields and found != FORMAT:
            raise refused(path, folder, f"is of format {found or 1}, and this version reads {FORMAT}")
        return model.model_validate(document)


def read_csv(path: Path, folder: Path, head: Iterable[str]) -> list[list[str]]:
    """The rows of a table that has these columns."""
    wanted = list(head)
    with reading(path, folder):
        found, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
        if found != wanted:
            raise refused(path, folder, f"has the columns {','.join(found)}, and this version reads {','.join(wanted)}")
        for number, row in enumerate(rows, start=2):
            if len(row) != len(wanted):
                raise ValueError(f"line {number} has {len(row)} values")
        return rows


@contextmanager
def reading(path: Path, folder: Path) -> Iterator[None]:
    """A block that reads ``path``, a file of the cell in ``folder``; a `RecordError` says why it cannot."""
    try:
        yield
    except FileNotFoundError:
        raise refused(path, folder, "is missing") from None
    except OSError as error:
        raise refused(path, folder, f"cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise refused(path, folder, f"{key}: {first['msg'].lower()}") from None
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, csv.Error, BadZipFile) as error:
        raise refused(path, folder, f"is damaged ({' '.join(str(error).split())})") from None


def refused(path: Path, folder: Path, reason: str) -> RecordError:
    """What is wrong with a file of the cell in ``folder``, and how that is made again."""
    step = "train" if path.relative_to(folder).parts[0] in (TRAINED, HISTORY, TRAIN_TIMINGS) else "evaluate"
    command = f"dvc repro --single-item --force {stage(folder.parent.name, step, folder.name)}"
    return RecordError(f"{path}: {reason}; make it again with: {command}")


def write_csv(path: Path, head: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(["" if value is None else value for value in row] for row in rows)
