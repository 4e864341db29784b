"""Every size of a budget may be 1, 2 or 3: a cell is then measured, or one line names the key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from flowbench.config import ConfigError
from flowbench.evaluation import moments
from flowbench.evaluation.cell import CellEvaluation
from flowbench.metrics import METRICS
from flowbench.records.evaluation import Evaluation
from flowbench.records.training import Training
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, BASELINE, CONTINUOUS, ENERGY, IMAGES, LABELLED, STUDENT, VECTORS

KEYS = [VECTORS, BASELINE, ENERGY, CONTINUOUS, IMAGES, LABELLED, STUDENT, AUTOENCODER]
SIZES = ["test_examples", "samples", "invertibility_points", "logdet_points", "grid", "noise_draws", "batch_size"]


def measure(tiny, key: str, folder: Path, **options: int) -> Evaluation:
    """Measure the first seed of a cell with other sizes, in this process; save it and load it."""
    tiny.trained(key)
    cell = tiny.cell(key)
    options |= {"throughput_seconds": 1e-6}
    evaluation = CellEvaluation(replace(cell, evaluate=cell.evaluate.model_copy(update=options)))
    (folder / "pictures").mkdir(parents=True)
    measured = evaluation._evaluate_seed(0, folder / "pictures")
    assert not measured.missing
    evaluation._record({0: measured}).save(folder, evaluation.training)
    assert list((folder / "pictures").iterdir())
    return Evaluation.load(folder)


@pytest.fixture(autouse=True)
def few_moments(monkeypatch) -> None:
    """As many samples as the catalogue says would take minutes one by one."""
    monkeypatch.setattr(moments, "_SAMPLES", 100)


# To most code two and three are as many, which only noise and pairs of models tell from one.
SIZED = [
    pytest.param(key, size, marks=pytest.mark.slow if size > (2 if key in (IMAGES, STUDENT) else 1) else ())
    for key in KEYS
    for size in (1, 2, 3)
]


@pytest.mark.parametrize(("key", "size"), SIZED)
def test_all_sizes_may_be_small(tiny, tmp_path, key, size):
    found = measure(tiny, key, tmp_path / "tiny" / key, **dict.fromkeys(SIZES, size))
    for name, by_seed in found.values.items():
        assert by_seed[0].value == pytest.approx(by_seed[0].value), name  # is a number
        assert by_seed[0].n >= 1
    # What one example or one draw cannot tell is left out.
    assert ("bits_per_dim_standard_error" in found.values) == (size > 1 and key != AUTOENCODER)
    assert ("bits_per_dim_noise_std" in found.values) == (size > 1 and key in (IMAGES, LABELLED, STUDENT))
    assert ("kl_to_teacher" in found.values) == (size > 1 and key == STUDENT)
    for log_prob in found.log_prob.values():
        assert log_prob.shape == (size,)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("key", KEYS)
def test_each_size_may_be_small_alone(tiny, tmp_path, key, name):
    for size in (1, 2, 3):
        found = measure(tiny, key, tmp_path / str(size) / key, **{name: size})
        assert found.values.keys() <= METRICS.keys()


@pytest.mark.parametrize("key", [VECTORS, pytest.param(CONTINUOUS, marks=pytest.mark.slow)])
def test_a_test_split_may_be_small(tiny, tmp_path, key):
    tiny.trained(key)
    cell = tiny.cell(key)
    # A cell looks its splits up once.
    cell.__dict__["splits"] = {name: split[:1] for name, split in cell.splits.items()}
    (tmp_path / "pictures").mkdir()
    measured = CellEvaluation(cell)._evaluate_seed(0, tmp_path / "pictures")
    assert not measured.missing
    assert measured.values["bits_per_dim"].n == 1
    # Without other test data there is nothing to compare with.
    assert "energy_distance_data" not in measured.values


@pytest.mark.parametrize(("key", "size"), SIZED)
def test_a_batch_of_the_training_may_be_small(tiny, tmp_path, monkeypatch, key, size):
    root = tiny.copy(tmp_path / "copy", *([IMAGES] if key == STUDENT else []))
    cell = tiny_cells.resolve(root, key)
    monkeypatch.setattr(
        training_cell, "for_each_seed", lambda train, seeds, *_: {seed: train(seed) for seed in seeds[:1]}
    )
    monkeypatch.setattr("flowbench.certificates.require_sound", lambda *_: None)
    budget = {"batch_size": size, "steps": 2, "validation_examples": size}
    training = CellTraining(replace(cell, train=cell.train.model_copy(update=budget)))
    if (key, size) == (AUTOENCODER, 1):
        line = (
            rf"^params\.yaml: budgets\.tiny\.train\.batch_size = 1: {key} needs batches of at least 2 examples, got 1$"
        )
        with pytest.raises(ConfigError, match=line):
            training.run()
        return
    training.run()
    found = Training.load(cell.folder)
    assert found.finished == [0]
    assert all(torch.isfinite(tensor).all() for tensor in found.weights(0).values())
