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
from flowbench.runtime.seeding import seeded
from flowbench.training import cell as training_cell
from flowbench.training.batches import Batches
from flowbench.training.cell import CellTraining
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.distillation import Distillation, StudentTraining
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss, ReverseKL
from flowbench.training.state import Outcome
from tests import tiny_cells

IMAGES = torch.randint(17, (230, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
EVENT = Event((1, 4, 4), levels=17)
FLOWS = {
    "glow": {"steps": 1, "hidden": [8, 8], "scales": 1, "logit": 0.05},
    "flow_matching": {"coupling": "optimal-transport", "coupled_at_once": 20, "sigma": 0.1, "hidden": [8]},
    "flow_autoencoder": {"flow_learns_by": "likelihood", "channels": [4], "latent": 3, "layers": 2, "hidden": [8]},
}
TEACHER, STUDENT = "digits-maf", "digits-iaf_distilled"


class Killed(Exception):
    """In the place of a signal, at a step of one's choice."""


class Eager(Checkpoints):
    """With one at each row of the history."""

    due = True


def budget(**options) -> TrainBudget:
    return TrainBudget(
        **({"steps": 60, "batch_size": 50, "seeds": [0], "validate_every": 20, "device": "cpu"} | options)
    )


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
        snapshot = (lambda kept: next(kept.parameters()).detach().clone()) if make is on_energy else None
        return train(model, objective, options, snapshot=snapshot, checkpoints=checkpoints)


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


@pytest.mark.parametrize(("make", "options"), CASES.values(), ids=CASES)
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


def test_seconds_add_up(tmp_path):
    options, checkpoints = budget(), Eager(tmp_path, 0.0)
    with pytest.raises(Killed):
        descend(on_data, options, checkpoints, kill_at=45)
    _, _, facts = checkpoints.load()
    assert facts["seconds"] > 0
    assert descend(on_data, options, checkpoints).seconds > facts["seconds"]


def test_a_student_that_is_interrupted_ends_the_same(tmp_path, monkeypatch):
    params = tiny_cells.prepare(tmp_path)
    CellTraining(params, TEACHER, tmp_path).run()
    loss = Distillation.loss

    def until(self, step: int) -> torch.Tensor:
        if step == 25:
            raise Killed
        return loss(self, step)

    def trained() -> tuple[dict[str, bytes], dict[str, int]]:
        StudentTraining(params, STUDENT, tmp_path).run()
        files = tiny_cells.contents(tmp_path / "results" / STUDENT)
        return files, resumptions(files.pop("train_timings.json"))

    wanted, resumed = trained()
    assert resumed == {"0": 0, "1": 0, "2": 0}
    monkeypatch.setattr(training_cell, "Checkpoints", Eager)
    with monkeypatch.context() as patched:
        patched.setattr(Distillation, "loss", until)
        with pytest.raises(Killed):
            trained()
    assert trained() == (wanted, {"0": 20, "1": 20, "2": 20})


def resumptions(timings: bytes) -> dict[str, int]:
    """The step that each seed went on from, 0 if it began anew, as train_timings.json has it."""
    return {seed: entry.get("resumed_at", 0) for seed, entry in json.loads(timings)["seeds"].items()}


# Each seed says, as its training begins, which step it goes on from; in one write, for they share a pipe.
PROGRAM = """\
import os, sys
from pathlib import Path
from flowbench import config
from flowbench.training import cell, checkpoints
cell.CHECKPOINT_SECONDS = 0.0
checkpoints._SHARE = 1.0
class Telling(checkpoints.Checkpoints):
    def load(self):
        found = super().load()
        os.write(1, b"%d\\n" % (found[0] if found else 0))
        return found
cell.Checkpoints = Telling
root = Path(sys.argv[1])
cell.CellTraining(config.load(root / "params.yaml"), sys.argv[2], root).run()
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
@pytest.mark.parametrize("key", ["two_modes-realnvp", "digits-maf", "digits-flow_autoencoder"])
def test_ten_kills_at_random_moments_change_nothing(key, tmp_path, survived):
    root = tmp_path / "tiny"
    root.mkdir()
    tiny_cells.prepare(root)
    (root / "params.yaml").write_text(tiny_cells.TEXT.replace("steps: 30,", "steps: 300,"), encoding="utf-8")
    assert run(root, key) == ([0, 0, 0], True)
    wanted = tiny_cells.contents(root / "results" / key)
    seeds = json.loads(wanted.pop("train_timings.json"))["seeds"].values()
    whole = max(seed["ended"] for seed in seeds) - min(seed["started"] for seed in seeds)
    moments, killed, resumed, ended = random.Random(0), 0, 0, False
    while killed < KILLS or not ended:
        steps, ended = run(root, key, *([moments.uniform(0.0, 0.3) * whole] if killed < KILLS else []))
        if ended:
            found = tiny_cells.contents(root / "results" / key)
            assert sorted(resumptions(found.pop("train_timings.json")).values()) == steps
            assert found == wanted
            assert not (root / ".cache" / "training" / key).exists()
        else:
            killed += 1
            resumed += any(steps)
    assert resumed >= KILLS / 2
    survived("kills", killed)


def test_no_device_goes_on_from_a_checkpoint_of_another(tmp_path, monkeypatch):
    params = tiny_cells.prepare(tmp_path)

    def checkpoints(device: str, name: str = "") -> Path:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
        training = CellTraining(params, "gaussian-affine", tmp_path)
        training.device = torch.device(device)
        assert "device" not in training._provenance()  # whose bytes the record holds
        return training._checkpoints

    assert checkpoints("cpu") == checkpoints("cpu")
    assert checkpoints("cuda", "a GPU") == checkpoints("cuda", "a GPU")
    assert len({checkpoints("cpu"), checkpoints("cuda", "a GPU"), checkpoints("cuda", "another")}) == 3


def test_another_configuration_starts_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(training_cell, "CHECKPOINT_SECONDS", 0.0)
    params = tiny_cells.prepare(tmp_path)
    first = CellTraining(params, "gaussian-affine", tmp_path)
    (first._checkpoints / "seed-0").mkdir(parents=True)
    tiny = params.budgets["tiny"]
    budgets = {"tiny": tiny.model_copy(update={"train": tiny.train.model_copy(update={"learning_rate": 0.5})})}
    second = CellTraining(params.model_copy(update={"budgets": budgets}), "gaussian-affine", tmp_path)
    assert second._checkpoints != first._checkpoints
    second.run()
    assert not first._checkpoints.exists()
    assert not second._checkpoints.exists()


@pytest.mark.parametrize(
    ("path", "cells"),
    [
        ("code/stages/train.json", {TEACHER}),
        ("code/stages/train_student.json", {STUDENT}),
        ("code/flows/maf.json", {TEACHER}),
        ("code/flows/iaf_distilled.json", {STUDENT}),
        ("code/data/digits.json", {TEACHER, STUDENT}),
        (f"results/{TEACHER}/trained/seed-0.safetensors", {STUDENT}),
    ],
)
def test_another_digest_of_code_or_of_a_teacher_starts_anew(path, cells, tmp_path):
    params = tiny_cells.prepare(tmp_path)
    (tmp_path / path).parent.mkdir(parents=True)

    def checkpoints(digest: str) -> dict[str, Path]:
        (tmp_path / path).write_text(json.dumps({"flowbench/core.py": digest}), encoding="utf-8")
        trainings = CellTraining(params, TEACHER, tmp_path), StudentTraining(params, STUDENT, tmp_path)
        return {training.key: training._checkpoints for training in trainings}

    before, after = checkpoints("0"), checkpoints("1")
    assert {key for key in before if before[key] != after[key]} == cells


def test_other_data_under_the_same_options_start_anew(tmp_path):
    params = tiny_cells.prepare(tmp_path)
    before = CellTraining(params, "gaussian-affine", tmp_path)._checkpoints
    others = data.load("gaussian", **params.data["gaussian"] | {"mean": [2.0, 1.0]})
    data.save(others, tmp_path / "data" / "gaussian")
    assert CellTraining(params, "gaussian-affine", tmp_path)._checkpoints != before
