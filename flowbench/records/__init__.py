"""What a cell leaves on disk, and what DVC's lock says of it."""

from flowbench.records._files import Host, RecordError
from flowbench.records.evaluation import Evaluation, Timings, combined
from flowbench.records.record import Record, digest, files
from flowbench.records.training import HistoryRow, Provenance, SeedTraining, Training, TrainTimings, weights_path

__all__ = [
    "Evaluation",
    "HistoryRow",
    "Host",
    "Provenance",
    "Record",
    "RecordError",
    "SeedTraining",
    "Timings",
    "TrainTimings",
    "Training",
    "combined",
    "digest",
    "files",
    "weights_path",
]
