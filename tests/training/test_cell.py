"""The training of a whole cell: what it writes, that it repeats, and what becomes of it when something fails."""

import csv
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from flowbench import data
from flowbench.config import ConfigError
from flowbench.core import FlowModel
from flowbench.records.training import Training
from flowbench.runtime.seeding import seed_for
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, BASELINE, CONTINUOUS, ENERGY, IMAGES, LABELLED, VECTORS


@pytest.fixture
def root(tiny, tmp_path) -> Path:
    """A copy in which nothing has been trained."""
    return tiny.copy(tmp_path / "copy")


def train(root: Path, key: str = VECTORS, **options) -> dict[str, bytes]:
    """Train a cell, with some other options of its budget; what it wrote, without its timings."""
    cell = tiny_cells.resolve(root, key)
    CellTraining(replace(cell, train=cell.train.model_copy(update=options))).run()
    return tiny_cells.steady(cell.folder)


@pytest.mark.parametrize("key", [VECTORS, BASELINE, ENERGY, IMAGES, LABELLED])
def test_training_twice_gives_the_same_bytes(tiny, root, key):
    first, again = tiny_cells.steady(tiny.trained(key)), train(root, key)
    weights = {f"trained/seed-{seed}.safetensors" for seed in (0, 1)}
    snapshots = {"trained/snapshots.npz"} if key in (VECTORS, ENERGY) else set()
    assert set(again) == {"trained/training.json", "history.csv"} | weights | snapshots
    assert again.items() <= first.items()
    assert len({first[name] for name in weights}) == (1 if key == BASELINE else 2)


def test_the_record(tiny):
    training = Training.load(tiny.trained(VECTORS))
    assert (training.suite, training.cell, training.kind) == ("tiny", VECTORS, "flow")
    assert (training.likelihood, training.parameters) == ("exact", 4)
    assert {seed: one.status for seed, one in training.seeds.items()} == dict.fromkeys((0, 1), "finished")
    assert {(one.steps, one.epochs) for one in training.seeds.values()} == {(30, 30 * 50 / 500)}
    assert training.provenance.params["budget"]["steps"] == 30
    assert training.provenance.params["cell"]["seeds"] == [0, 1]
    assert set(training.provenance.data) == {"train", "validation", "test"}
    assert {seed: [row.step for row in rows] for seed, rows in training.history.items()} == {
        seed: [10, 20, 30] for seed in (0, 1)
    }
    for seed, one in training.seeds.items():
        losses = {row.step: row.validation_loss for row in training.history[seed]}
        assert losses[one.best_step] == one.best_validation_loss == min(losses.values())
    assert training.timings.host.device == "cpu"
    assert all(timings["train_samples_per_second"] > 0 for timings in training.timings.seeds.values())


def test_a_baseline_takes_no_steps_and_an_energy_has_no_epochs(tiny):
    baseline, energy = (Training.load(tiny.trained(key)) for key in (BASELINE, ENERGY))
    assert baseline.kind == "baseline"
    assert {(one.steps, one.epochs) for one in baseline.seeds.values()} == {(0, None)}
    assert {(one.steps, one.epochs) for one in energy.seeds.values()} == {(30, None)}


def test_snapshots_begin_with_the_initial_model(tiny):
    """Of densities in the plane and, without a density, of images."""
    for key, size, of_image in ((VECTORS, 96, ()), (ENERGY, 64, ()), (CONTINUOUS, 64, ()), (AUTOENCODER, 8, (1, 8))):
        frames, steps = Training.load(tiny.trained(key)).snapshots()
        last = tiny.cell(key).train.steps
        assert (steps[0], steps[-1], len(steps)) == (0, last, len(frames))
        assert len(steps) > 3
        assert frames.shape[1:] == ((2, 64, *of_image, size) if of_image else (size, size))
        assert (frames[0] != frames[-1]).any()
        if key in (VECTORS, ENERGY):
            grid = tiny.cell(key).source.grid
            mass = frames.astype(float).sum((1, 2)) * ((grid.high - grid.low) / size) ** 2
            assert mass == pytest.approx(np.ones(len(frames)), abs=0.1)
    assert all(Training.load(tiny.trained(key)).snapshots() is None for key in (BASELINE, IMAGES))


@pytest.mark.parametrize("cores", [{0}, set(range(8))], ids=["one core", "eight cores"])
def test_a_seed_does_not_depend_on_how_many_run_at_once(tiny, root, monkeypatch, cores):
    expected = tiny_cells.steady(tiny.trained(VECTORS))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    assert train(root).items() <= expected.items()


def test_a_seed_does_not_depend_on_the_others_and_nothing_is_left_of_an_earlier_run(tiny, tmp_path):
    root = tiny.copy(tmp_path / "copy", VECTORS)
    tiny_cells.edit(root, "seeds: [0, 1]", "seeds: [1]")
    alone = train(root)
    name = "trained/seed-1.safetensors"
    assert alone[name] == tiny_cells.contents(tiny.trained(VECTORS))[name]
    assert "trained/seed-0.safetensors" not in alone


@pytest.mark.parametrize("key", [ENERGY, IMAGES])
def test_seeds_that_follow_each_other_in_one_process_do_not_depend_on_their_order(tiny, root, monkeypatch, key):
    expected = tiny_cells.steady(tiny.trained(key))
    # As on a GPU.
    monkeypatch.setattr(
        training_cell, "for_each_seed", lambda train, seeds, *_: {seed: train(seed) for seed in reversed(seeds)}
    )
    found = train(root, key)
    binary = [name for name in found if name.endswith((".safetensors", ".npz"))]
    assert len(binary) >= 2
    assert {name: found[name] for name in binary} == {name: expected[name] for name in binary}


def test_weights_are_those_of_the_cells_model(tiny):
    training, initial = Training.load(tiny.trained(IMAGES)), tiny.cell(IMAGES).build(1)
    weights = training.weights(1)
    assert set(weights) == set(initial.state_dict())
    initial.load_state_dict(weights)
    assert initial.log_prob(torch.zeros(2, 1, 8, 8)).isfinite().all()


def test_a_diverged_seed_is_recorded_and_the_others_go_on(tiny, root, monkeypatch):
    expected = tiny_cells.contents(tiny.trained(VECTORS))
    lost = seed_for("gaussian", "affine", "small", 0, "validation")

    class Failing(DataLoss):
        def loss(self, step):
            return super().loss(step) * (math.nan if self.validation_seed == lost and step >= 12 else 1)

    monkeypatch.setattr(training_cell, "DataLoss", Failing)
    files = train(root)
    training = Training.load(tiny_cells.resolve(root, VECTORS).folder)
    assert {seed: one.status for seed, one in training.seeds.items()} == {0: "diverged", 1: "finished"}
    assert training.finished == [1]
    assert (training.seeds[0].diverged_at, training.seeds[0].best_step) == (20, 10)
    assert "trained/seed-0.safetensors" not in files
    assert files["trained/seed-1.safetensors"] == expected["trained/seed-1.safetensors"]
    rows = [row for row in csv.DictReader(files["history.csv"].decode().splitlines()) if row["seed"] == "0"]
    assert [row["step"] for row in rows] == ["10", "20"]
    assert rows[-1]["loss"] == "nan"


def test_a_failed_training_leaves_the_results_before_it(tiny, tmp_path, monkeypatch):
    root = tiny.copy(tmp_path / "copy", VECTORS)
    expected = tiny_cells.contents(root / "results")
    monkeypatch.setattr(training_cell, "train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(root)
    assert tiny_cells.contents(root / "results") == expected


def test_a_flow_that_cannot_be_compiled_is_one_line_that_names_the_key(root, monkeypatch):
    def backend(graph, inputs):
        raise OSError("no compiler here")

    # In this process, which imports the compiler once for all tests.
    monkeypatch.setattr(training_cell, "for_each_seed", lambda train, seeds, *_: {seed: train(seed) for seed in seeds})
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(ConfigError, match=r"^params.yaml: budgets.tiny.train.compile = true: .*no compiler here$"):
        train(root, compile=True)


def test_initialisation_and_validation_see_no_more_than_they_may(root, monkeypatch):
    monkeypatch.setattr(training_cell, "INITIALISATION_EXAMPLES", 10)
    seen = []

    class Recording(DataLoss):
        def __init__(self, model, batches, validation, *arguments, **options):
            seen.append(validation)
            super().__init__(model, batches, validation, *arguments, **options)

    monkeypatch.setattr(training_cell, "DataLoss", Recording)
    monkeypatch.setattr(FlowModel, "initialise", lambda model, x: seen.append(x))
    cell = tiny_cells.resolve(root, IMAGES)
    cell = replace(cell, train=cell.train.model_copy(update={"validation_examples": 7, "steps": 1}))
    (root / "alone/trained").mkdir(parents=True)
    CellTraining(cell)._train_seed(0, root / "alone")
    first, validation = (torch.from_numpy(np.array(cell.splits[name])) for name in ("train", "validation"))
    initialised, validated = seen[-2:]  # the check before the training initialises a small model of its own
    assert torch.equal(initialised, first[:10])
    assert torch.equal(validated, validation[:7])


def test_seeds_share_the_examples_in_memory(tiny):
    training = CellTraining(tiny.cell(IMAGES))
    split = training._split("train")
    assert split.dtype == torch.uint8
    assert split.data_ptr() == training.cell.splits["train"].ctypes.data
    assert isinstance(training.cell.splits["train"], np.memmap)


def test_a_killed_training_leaves_nothing_that_could_be_taken_for_a_result(root):
    cell = tiny_cells.resolve(root, VECTORS)
    endless = replace(cell, train=cell.train.model_copy(update={"steps": 10_000_000}))
    parent = multiprocessing.get_context("fork").Process(target=CellTraining(endless).run)
    parent.start()

    def children() -> list[int]:
        path = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        return [int(pid) for pid in path.read_text(encoding="utf-8").split()]

    wait_until(lambda: list(cell.folder.glob(".unfinished-*/trained")) and children())
    workers = children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    try:
        # No child of a killed parent goes on writing.
        wait_until(lambda: not any(map(alive, workers)))
    finally:
        for worker in filter(alive, workers):
            os.kill(worker, signal.SIGKILL)
    (left,) = cell.folder.iterdir()
    assert left.name.startswith(".unfinished-")
    files = train(root)
    assert {path.split("/")[0] for path in files} == {"trained", "history.csv"}
    assert not left.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_twice_on_a_gpu_gives_the_same_weights_and_metrics(tmp_path):
    found = []
    for name in ("first", "again"):
        root = tmp_path / name
        tiny_cells.prepare(root, suite=tiny_cells.SUITE_TEXT.replace("device: cpu", "device: cuda"))
        # In a process of its own: what makes a GPU repeat itself is set once, and before its first use.
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        for stage in ("train", "evaluate"):
            command = [sys.executable, "-m", f"stages.{stage}", "tiny", IMAGES]
            subprocess.run(command, cwd=root, env=environment, check=True)
        folder = root / "results" / "tiny" / IMAGES
        assert Training.load(folder).timings.host.device == "cuda"
        kept = (".safetensors", "metrics.json", "seeds.csv", ".npy")
        found.append({path: content for path, content in tiny_cells.contents(folder).items() if path.endswith(kept)})
    assert len(found[0]) == 6
    assert found[0] == found[1]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_class_that_training_never_saw_is_one_line(root, monkeypatch):
    cell = tiny_cells.resolve(root, LABELLED)
    labels = {
        name: np.where((of_split == 3) & (name == "train"), 4, of_split) for name, of_split in cell.labels.items()
    }
    cell.__dict__["labels"] = labels  # a cell looks them up once
    monkeypatch.setattr(training_cell, "for_each_seed", lambda train, seeds, *_: {seeds[0]: train(seeds[0])})
    with pytest.raises(ConfigError, match=r"^data/digits: label 3: training never saw an example of this class$"):
        CellTraining(cell).run()


def test_data_of_an_earlier_version_without_labels_say_how_to_make_them_again(root):
    path = root / "data/digits/info.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    del info["labels"]
    path.write_text(json.dumps(info), encoding="utf-8")
    with pytest.raises(
        data.DataError, match=r"digits: holds no labels; .* `dvc repro -f stages/dvc.yaml:download@digits`"
    ):
        _ = tiny_cells.resolve(root, LABELLED).labels
