"""A training that is killed and run again ends as one that never was, to the last bit."""

import json
import random
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Timer

import pytest
import torch

from flowbench import data, flows
from flowbench.config import TrainBudget
from flowbench.core import Event, FlowModel
from flowbench.records.training import Training
from flowbench.runtime.seeding import seeded
from flowbench.training import cell as training_cell
from flowbench.training.batches import Batches
from flowbench.training.cell import CellTraining
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.distillation import Distillation
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss, ReverseKL
from flowbench.training.snapshots import Snapshots
from flowbench.training.state import Outcome
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, ENERGY, STUDENT, TEACHER, VECTORS

IMAGES = torch.randint(17, (230, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
EVENT = Event((1, 4, 4), levels=17)
FLOWS = {
    "glow": {"steps": 1, "hidden": [8, 8], "scales": 1, "logit": 0.05},
    "flow_matching": {"coupling": "optimal-transport", "coupled_at_once": 20, "sigma": 0.1, "hidden": [8]},
    "flow_autoencoder": {"flow_learns_by": "likelihood", "channels": [4], "latent": 3, "layers": 2, "hidden": [8]},
}


class Killed(Exception):
    """In the place of a signal, at a step of one's choice."""


class Eager(Checkpoints):
    """With one at each row of the history."""

    due = True


def budget(**options) -> TrainBudget:
    return TrainBudget(**({"steps": 60, "batch_size": 50, "validate_every": 20} | options))


def on_data(options: TrainBudget, flow: str = "glow") -> tuple[FlowModel, DataLoss]:
    model = flows.build(flow, EVENT, FLOWS[flow])
    model.initialise(IMAGES)
    # In the layout that training takes, whose sums an optimiser of another layout would change.
    model.to(memory_format=torch.channels_last)
    batches = Batches(IMAGES, options.batch_size, torch.device("cpu"), horizontal_flips=options.horizontal_flips)
    return model, DataLoss(model, batches, IMAGES[:40], validation_seed=3)


def on_energy(options: TrainBudget) -> tuple[FlowModel, ReverseKL]:
    model = flows.build("realnvp", Event((2,)), {"layers": 2, "hidden": [8]})
    return model, ReverseKL(model, lambda x: -x.square().sum(1), 50, 20, validation_seed=3)


def descend(make, options: TrainBudget, checkpoints: Checkpoints | None, kill_at: int | None = None) -> Outcome:
    with seeded(5):
        model, objective = make(options)
        loss = objective.loss

        def until(step: int) -> torch.Tensor:
            if step == kill_at:
                raise Killed
            return loss(step)

        objective.loss = until
        snapshots = Snapshots(lambda kept: next(kept.parameters()).clone(), options, 7)
        return train(model, objective, options, snapshots=snapshots, checkpoints=checkpoints)


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.history == other.history
    assert (one.status, one.best_step, one.best_validation_loss) == (
        other.status,
        other.best_step,
        other.best_validation_loss,
    )
    for tensors, wanted in ((one.weights, other.weights), (one.snapshots, other.snapshots)):
        assert tensors.keys() == wanted.keys()
        assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert list(one.snapshots) == list(other.snapshots)  # which a file holds in this order
    assert next(iter(one.snapshots)) == 0


CASES = {
    "plain": (on_data, {}),
    "average, warm-up, flips": (
        on_data,
        {"ema_decay": 0.9, "warmup_steps": 13, "horizontal_flips": True, "clip_norm": 0.5},
    ),
    "bfloat16": (on_data, {"precision": "bfloat16", "schedule": "constant", "weight_decay": 0.01}),
    "optimal transport": (partial(on_data, flow="flow_matching"), {}),
    # Whose moments, as all buffers, the model shares with its average.
    "batch normalisation": (partial(on_data, flow="flow_autoencoder"), {"ema_decay": 0.9}),
    "energy": (on_energy, {"steps": 120, "snapshot_every": 20}),
}


# What is special about the others lies in the model's state, as the average does, or in its arithmetic.
RARE = ("bfloat16", "batch normalisation")


@pytest.mark.parametrize(
    ("make", "options"),
    [pytest.param(*case, id=name, marks=pytest.mark.slow if name in RARE else ()) for name, case in CASES.items()],
)
def test_what_is_interrupted_at_any_step_ends_the_same(make, options, tmp_path):
    options = budget(**options)
    wanted = descend(make, options, None)
    for number, kills in enumerate(([5], [10], [11, 37, 58], [options.steps - 1])):
        checkpoints = Eager(tmp_path / str(number), 0.0)
        for kill in kills:
            with pytest.raises(Killed):
                descend(make, options, checkpoints, kill_at=kill)
        found = descend(make, options, checkpoints)
        assert found.resumed_at == kills[-1] // 10 * 10
        assert_same(found, wanted)


@pytest.mark.parametrize("name", ["average, warm-up, flips", "energy"])
def test_what_goes_on_from_the_checkpoint_before_a_damaged_one_ends_the_same(name, tmp_path, survived):
    make, options = CASES[name]
    options = budget(**options)
    wanted = descend(make, options, None)
    checkpoints = Eager(tmp_path, 0.0)
    with pytest.raises(Killed):
        descend(make, options, checkpoints, kill_at=47)
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    for place in range(len(content) // 3, len(content), len(content) // 3):
        content[place] ^= 0xFF
    newest.write_bytes(content)
    found = descend(make, options, checkpoints)
    assert found.resumed_at == 30
    assert_same(found, wanted)
    survived("faults")


def test_what_is_finished_is_not_trained_again(tmp_path):
    options, checkpoints = budget(), Checkpoints(tmp_path, 1e9)
    wanted = descend(on_data, options, checkpoints)
    found = descend(on_data, options, checkpoints, kill_at=59)
    assert found.resumed_at == options.steps
    assert_same(found, wanted)


def test_what_its_patience_ended_is_not_trained_again(tmp_path):
    def never_better(options: TrainBudget) -> tuple[FlowModel, DataLoss]:
        model, objective = on_data(options)
        objective.validation_loss = lambda kept: torch.tensor(0.0)
        return model, objective

    options, checkpoints = budget(patience=1), Checkpoints(tmp_path, 1e9)
    wanted = descend(never_better, options, checkpoints)
    assert wanted.history[-1].step == 40
    found = descend(never_better, options, checkpoints, kill_at=40)
    assert found.resumed_at == 40
    assert_same(found, wanted)


def test_seconds_add_up(tmp_path):
    options, checkpoints = budget(), Eager(tmp_path, 0.0)
    with pytest.raises(Killed):
        descend(on_data, options, checkpoints, kill_at=45)
    _, _, facts = checkpoints.load()
    assert facts["seconds"] > 0
    assert descend(on_data, options, checkpoints).seconds > facts["seconds"]


def test_a_student_that_is_interrupted_ends_the_same(tiny, tmp_path, monkeypatch):
    wanted = tiny_cells.steady(tiny.trained(STUDENT))
    training = CellTraining(tiny_cells.resolve(tiny.copy(tmp_path / "copy", TEACHER), STUDENT))
    loss = Distillation.loss

    def until(self, step: int) -> torch.Tensor:
        if step == 25:
            raise Killed
        return loss(self, step)

    monkeypatch.setattr(training_cell, "Checkpoints", Eager)
    with monkeypatch.context() as patched:
        patched.setattr(Distillation, "loss", until)
        with pytest.raises(Killed):
            training.run()
    training.run()
    assert tiny_cells.steady(training.cell.folder).items() <= wanted.items()
    # The first seed that raises ends the other, wherever that is.
    resumed = resumptions(training.cell.folder)
    assert max(resumed.values()) == 20
    assert set(resumed.values()) <= {0, 10, 20}


def resumptions(folder: Path) -> dict[int, int]:
    """The step that each seed went on from, 0 if it began anew."""
    return {seed: int(of.get("resumed_at", 0)) for seed, of in Training.load(folder).timings.seeds.items()}


# Each seed says, as its training begins, which step it goes on from; in one write, for they share a pipe.
PROGRAM = """\
import os, sys
from pathlib import Path
from flowbench.cell import Cell
from flowbench.training import cell, checkpoints
cell.CHECKPOINT_SECONDS = 0.0
checkpoints._SHARE = 1.0
class Telling(checkpoints.Checkpoints):
    def load(self):
        found = super().load()
        os.write(1, b"%d\\n" % (found[0] if found else 0))
        return found
cell.Checkpoints = Telling
cell.CellTraining(Cell.resolve("tiny", sys.argv[2], Path(sys.argv[1]))).run()
"""


def run(root: Path, key: str, seconds: float = 600.0) -> tuple[list[int], bool]:
    """Train a cell, and kill it ``seconds`` after its first seed began.

    Returns the steps that its seeds went on from, and whether it had come to its end before.
    """
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root), key], stdout=subprocess.PIPE, text=True)
    began = process.stdout.readline()  # after seconds of imports, where a kill would tell nothing
    killer = Timer(seconds, process.kill)
    killer.start()
    began += process.stdout.read()
    status = process.wait()
    killer.cancel()
    assert status in (0, -signal.SIGKILL)
    return sorted(map(int, began.split())), status == 0


KILLS = 10


@pytest.mark.slow
@pytest.mark.parametrize("key", [ENERGY, TEACHER, AUTOENCODER])
def test_ten_kills_at_random_moments_change_nothing(key, tiny, tmp_path, survived):
    root = tiny.copy(tmp_path / "copy")
    tiny_cells.edit(root, "steps: 30,", "steps: 300,")
    folder = root / "results" / "tiny" / key
    assert run(root, key) == ([0, 0], True)
    wanted = tiny_cells.steady(folder)
    timings = Training.load(folder).timings.seeds.values()
    whole = max(seed["ended"] for seed in timings) - min(seed["started"] for seed in timings)
    moments, killed, resumed, ended = random.Random(0), 0, 0, False
    while killed < KILLS or not ended:
        steps, ended = run(root, key, *([moments.uniform(0.0, 0.3) * whole] if killed < KILLS else []))
        if ended:
            assert sorted(resumptions(folder).values()) == steps
            assert tiny_cells.steady(folder) == wanted
            assert not (root / ".cache" / "training" / "tiny" / key).exists()
        else:
            killed += 1
            resumed += any(steps)
    assert resumed >= KILLS / 2
    survived("kills", killed)


def checkpoints_of(root: Path, key: str = VECTORS) -> Path:
    return CellTraining(tiny_cells.resolve(root, key))._checkpoints


def test_no_device_goes_on_from_a_checkpoint_of_another(tiny, monkeypatch):
    def checkpoints(device: str, name: str = "") -> Path:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
        cell = tiny.cell(VECTORS)
        cell.__dict__["device"] = torch.device(device)
        training = CellTraining(cell)
        assert "device" not in training._provenance().model_dump()  # its bytes are in the record
        return training._checkpoints

    assert checkpoints("cpu") == checkpoints("cpu")
    assert checkpoints("cuda", "a GPU") == checkpoints("cuda", "a GPU")
    assert len({checkpoints("cpu"), checkpoints("cuda", "a GPU"), checkpoints("cuda", "another")}) == 3


def test_another_configuration_starts_anew(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(training_cell, "CHECKPOINT_SECONDS", 0.0)
    root = tiny.copy(tmp_path / "copy")
    first = checkpoints_of(root)
    (first / "seed-0").mkdir(parents=True)
    tiny_cells.edit(root, "steps: 30,", "steps: 10,")
    second = CellTraining(tiny_cells.resolve(root, VECTORS))
    assert second._checkpoints != first
    second.run()
    assert not first.exists()
    assert not second._checkpoints.exists()


@pytest.mark.parametrize(
    ("path", "cells"),
    [
        ("code/stages/train.json", {TEACHER, STUDENT}),
        ("code/flows/maf.json", {TEACHER}),
        ("code/flows/iaf_distilled.json", {STUDENT}),
        ("code/data/digits.json", {TEACHER, STUDENT}),
        (f"results/tiny/{TEACHER}/trained/seed-0.safetensors", {STUDENT}),
    ],
)
def test_another_digest_of_code_or_of_a_teacher_starts_anew(path, cells, tiny, tmp_path):
    root = tiny.copy(tmp_path / "copy")
    (root / path).parent.mkdir(parents=True)

    def checkpoints(digest: str) -> dict[str, Path]:
        (root / path).write_text(json.dumps({"flowbench/core.py": digest}), encoding="utf-8")
        return {key: checkpoints_of(root, key) for key in (TEACHER, STUDENT)}

    before, after = checkpoints("0"), checkpoints("1")
    assert {key for key in before if before[key] != after[key]} == cells


def test_other_data_under_the_same_options_start_anew(tiny, tmp_path):
    root = tiny.copy(tmp_path / "copy")
    before, cell = checkpoints_of(root), tiny_cells.resolve(root, VECTORS)
    others = data.load("gaussian", **cell.data_options | {"mean": [2.0, 1.0]})
    data.save(others, root / "data" / "gaussian")
    assert checkpoints_of(root) != before
