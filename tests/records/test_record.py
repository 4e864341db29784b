"""The record of a cell: saved and loaded it is the same, and a file that cannot be read is named in one line."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from flowbench.metrics import METRICS, Measured
from flowbench.records import record
from flowbench.records.errors import RecordError
from flowbench.records.evaluation import Evaluation, combined
from flowbench.records.record import Record
from flowbench.records.training import Training
from tests import tiny_cells
from tests.tiny_cells import ENERGY, IMAGES, VECTORS


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    """A copy of the record of an energy's cell, which has every kind of file."""
    return shutil.copytree(tiny.measured(ENERGY), tmp_path / "results" / "tiny" / ENERGY)


@pytest.mark.parametrize("key", [VECTORS, ENERGY, IMAGES])
def test_what_is_saved_and_loaded_is_the_same_and_so_are_the_bytes(tiny, tmp_path, key):
    found, copy = Record.load(tiny.measured(key)), tmp_path / "tiny" / key
    (copy / "trained").mkdir(parents=True)
    found.training.save(copy, found.training.timings, found.training.history)
    found.evaluation.save(copy, found.training)
    again = Record.load(copy)
    assert again.training.model_dump() == found.training.model_dump()
    assert (again.training.timings, again.training.history) == (found.training.timings, found.training.history)
    for field in fields(Evaluation):
        one, other = getattr(again.evaluation, field.name), getattr(found.evaluation, field.name)
        if field.name == "log_prob":
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[seed], other[seed]) for seed in one)
        else:
            assert one == other
    written = tiny_cells.contents(copy)
    assert {Path(name).parts[0] for name in written} == {path.name for path in found.folder.iterdir()} - {"pictures"}
    del written["seeds.csv"]  # whose whole numbers come back as 4.0
    assert written.items() <= tiny_cells.contents(found.folder).items()


def test_what_is_not_a_number_and_what_was_not_measured_come_back(folder):
    found = Record.load(folder)
    measured = found.evaluation.values | {"logdet_error_max": {0: Measured(math.inf, 2), 1: Measured(1e-12, 2)}}
    changed = replace(found.evaluation, values=measured, not_measured={1: "params.yaml: x = 1: cannot be solved"})
    lost = found.training.seeds[0].model_copy(update={"status": "diverged", "best_validation_loss": None})
    training = found.training.model_copy(update={"seeds": found.training.seeds | {0: lost}})
    shutil.rmtree(folder / "log_prob")
    training.save(folder, found.training.timings, found.training.history)
    changed.save(folder, training)
    again = Record.load(folder)
    assert again.training.seeds[0] == lost
    assert again.evaluation.values["logdet_error_max"][0].value == math.inf
    assert again.evaluation.not_measured == changed.not_measured
    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["diverged"], summary["logdet_error_max"]) == ("measured in part", 1, "inf")
    assert 0 not in again.finished_values["bits_per_dim"]


def test_values_hold_every_metric_of_both_stages_once(tiny):
    found = Record.load(tiny.measured(VECTORS))
    assert list(found.values) == [name for name in METRICS if name in found.values]
    for name in ("bits_per_dim", "parameters", "train_seconds", "peak_memory_mb", "sample_samples_per_second"):
        assert found.values[name].keys() == {0, 1}
    assert found.values["train_seconds"][0] == (found.training.timings.seeds[0]["train_seconds"], 1)
    assert {"density", "training"} <= found.pictures.keys()


def test_the_summary_is_combined_from_the_values(tiny):
    found = Record.load(tiny.measured(VECTORS)).evaluation
    for name, value in combined(found.values).items():
        seeds = [measured.value for measured in found.values[name].values()]
        worst = METRICS[name].over_seeds == "worst"
        assert value == (max(seeds) if worst else math.fsum(seeds) / 2)


def test_the_digest_is_of_all_but_weights(tiny, folder):
    before = record.digest(folder)
    assert before == record.digest(tiny.measured(ENERGY))
    (folder / "trained" / "seed-0.safetensors").write_bytes(b"other weights")
    (folder / ".unfinished-x").mkdir()
    (folder / ".unfinished-x" / "seeds.csv").write_bytes(b"")
    assert record.digest(folder) == before
    (folder / "log_prob" / "seed-1.npy").write_bytes(b"others")
    assert record.digest(folder) != before


READERS: dict[str, Callable[[Path], object]] = {
    "trained/training.json": Training.load,
    "trained/seed-1.safetensors": lambda folder: Training.load(folder).weights(1),
    "trained/snapshots.npz": lambda folder: Training.load(folder).snapshots(),
    "history.csv": Record.load,
    "train_timings.json": Record.load,
    "seeds.csv": Evaluation.load,
    "timings.json": Evaluation.load,
    "metrics.json": Record.load,
    "log_prob/seed-1.npy": Evaluation.load,
}
# A model of no density has no log-likelihoods, and a baseline has no snapshots.
OPTIONAL = {"log_prob/seed-1.npy", "trained/snapshots.npz"}


def complaint(folder: Path, name: str) -> str:
    """What is said of a file, between its name and how it is made again."""
    with pytest.raises(RecordError) as error:
        READERS[name](folder)
    text = str(error.value)
    step = "train" if name.startswith(("train", "history")) else "evaluate"
    end = f"; make it again with: dvc repro --single-item --force suites/tiny/dvc.yaml:{step}@{ENERGY}"
    assert "\n" not in text
    assert text.startswith(f"{folder / name}: ")
    assert text.endswith(end)
    return text.removeprefix(f"{folder / name}: ").removesuffix(end)


@pytest.mark.parametrize("name", [name for name in READERS if name not in OPTIONAL])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert complaint(folder, name) == "is missing"
    if not name.startswith("trained/seed"):
        with pytest.raises(RecordError, match="is missing; make it again with: "):
            record.files(folder)


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe\x00damaged\n\x80", b"[]", None], ids=["empty", "other bytes", "no mapping", "half"]
)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_named(folder, name, damage):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2] if damage is None else damage)
    assert complaint(folder, name)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("trained/training.json", '  "format": 3,\n', "", "is of format 1, and this version reads 3"),
        ("trained/training.json", '"format": 3', '"format": 2', "is of format 2, and this version reads 3"),
        ("trained/training.json", '"status": "finished"', '"status": "done"', "seeds.0.status: input should be "),
        ("timings.json", '"device_name"', '"nickname"', "host.device_name: field required"),
        ("seeds.csv", "unit,n\n", "unit\n", "has the columns seed,metric,value,unit, and this version reads "),
        ("seeds.csv", ",bits_per_dim,", ",bits,", "has bits, and there is no such metric"),
        ("seeds.csv", "0,kl_to_target,", "0,kl_to_target,x", "is damaged (could not convert string to float"),
        ("history.csv", "learning_rate\n", "rate\n", "has the columns seed,step,loss,validation_loss,rate, and this "),
        ("history.csv", "\n0,10,", "\n0,", "is damaged (line 2 has 4 values)"),
    ],
)
def test_an_older_or_an_edited_file_is_named(folder, name, old, new, said):
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    assert complaint(folder, name).startswith(said)
