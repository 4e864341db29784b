"""A training that is killed and run again ends as one that never was, to the last bit."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flowbench import flows
from flowbench.config import TrainBudget
from flowbench.core import Event, FlowModel, seeded
from flowbench.training import cell as training_cell
from flowbench.training.batches import Batches
from flowbench.training.cell import CellTraining
from flowbench.training.checkpoints import Checkpoints
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss, ReverseKL
from flowbench.training.state import Outcome
from tests import tiny_cells

IMAGES = torch.randint(17, (230, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
EVENT = Event((1, 4, 4), levels=17)
OPTIONS = {
    "plain": {},
    "average, warm-up, flips": {"ema_decay": 0.9, "warmup_steps": 13, "horizontal_flips": True, "clip_norm": 0.5},
    "bfloat16": {"precision": "bfloat16", "schedule": "constant", "weight_decay": 0.01},
}
GLOW = {"steps": 1, "hidden": [8, 8], "scales": 1, "logit": 0.05}


class Killed(Exception):
    """In the place of a signal, at a step of one's choice."""


def budget(**options) -> TrainBudget:
    return TrainBudget(
        **({"steps": 60, "batch_size": 50, "seeds": [0], "validate_every": 20, "device": "cpu"} | options)
    )


def on_data(options: TrainBudget) -> tuple[FlowModel, DataLoss]:
    model = flows.build("glow", EVENT, GLOW)
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


CASES = [(on_data, options) for options in OPTIONS.values()] + [(on_energy, {"steps": 120, "snapshot_every": 20})]


@pytest.mark.parametrize(("make", "options"), CASES, ids=[*OPTIONS, "energy"])
def test_what_is_interrupted_at_any_step_ends_the_same(make, options, tmp_path):
    options = budget(**options)
    wanted = descend(make, options, None)
    for number, kills in enumerate(([5], [10], [11, 37, 58], [options.steps - 1])):
        checkpoints = Checkpoints(tmp_path / str(number), 0.0)
        for kill in kills:
            with pytest.raises(Killed):
                descend(make, options, eager(checkpoints), kill_at=kill)
        found = descend(make, options, eager(checkpoints))
        assert found.resumed_at == kills[-1] // 10 * 10
        assert_same(found, wanted)


def eager(checkpoints: Checkpoints) -> Checkpoints:
    """The same, with one at each row."""

    class Eager(Checkpoints):
        due = True

    return Eager(checkpoints.folder, 0.0)


@pytest.mark.parametrize(("make", "options"), [CASES[1], CASES[-1]], ids=["data", "energy"])
def test_what_goes_on_from_the_checkpoint_before_a_damaged_one_ends_the_same(make, options, tmp_path, survived):
    options = budget(**options)
    wanted = descend(make, options, None)
    checkpoints = Checkpoints(tmp_path, 0.0)
    with pytest.raises(Killed):
        descend(make, options, eager(checkpoints), kill_at=47)
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    for place in range(len(content) // 3, len(content), len(content) // 3):
        content[place] ^= 0xFF
    newest.write_bytes(content)
    found = descend(make, options, eager(checkpoints))
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
    options, checkpoints = budget(), eager(Checkpoints(tmp_path, 0.0))
    with pytest.raises(Killed):
        descend(on_data, options, checkpoints, kill_at=45)
    _, _, facts = checkpoints.load()
    assert facts["seconds"] > 0
    assert descend(on_data, options, checkpoints).seconds > facts["seconds"]


PROGRAM = """\
import sys
from pathlib import Path
from flowbench import config
from flowbench.training import cell, checkpoints
cell.CHECKPOINT_SECONDS = 0.0
checkpoints._SHARE = 1.0
root = Path(sys.argv[1])
cell.CellTraining(config.load(root / "params.yaml"), sys.argv[2], root).run()
"""


def run(root: Path, key: str, seconds: float | None = None) -> bool:
    """Whether the training of a cell came to its end before it was killed."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(root), key], stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, errors
    return True


KILLS = 10


@pytest.mark.slow
@pytest.mark.parametrize("key", ["two_modes-realnvp", "digits-maf"])
def test_ten_kills_at_random_moments_change_nothing(key, tmp_path, survived):
    root = tmp_path / "tiny"
    root.mkdir()
    text = tiny_cells.TEXT.replace("steps: 30,", "steps: 600,")
    tiny_cells.prepare(root)
    (root / "params.yaml").write_text(text)
    began = time.monotonic()
    assert run(root, key)
    whole = time.monotonic() - began
    wanted = tiny_cells.contents(root / "results" / key)
    moments, killed = random.Random(0), 0
    while killed < KILLS:
        if not run(root, key, moments.uniform(0.2, 0.95) * whole):
            killed += 1
    assert run(root, key)
    found = tiny_cells.contents(root / "results" / key)
    del wanted["train_timings.json"], found["train_timings.json"]
    assert found == wanted
    assert not (root / ".cache" / "training" / key).exists()
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
