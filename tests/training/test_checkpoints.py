"""Checkpoints as files: whole or not there, and none that is damaged is believed."""

import json

import pytest
import torch

from flowbench.training.checkpoints import Checkpoints

FACTS = {"history": [[10, 0.1, None, 1e-3]], "best": float("inf")}


def tensors(step: int) -> dict[str, torch.Tensor]:
    return {
        "model/weight": torch.full((2, 3), float(step)),
        "random/cpu": torch.get_rng_state(),
        "objective/order": torch.arange(5),
        "objective/mirrored": torch.empty(0),
        "step": torch.tensor(float(step)),
    }


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "seed-0", 0.0)


def test_what_is_saved_is_loaded(checkpoints):
    assert checkpoints.load() is None
    checkpoints.save(10, tensors(10), FACTS)
    step, found, facts = checkpoints.load()
    assert step == 10
    assert found.keys() == tensors(10).keys()
    for name, tensor in tensors(10).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert facts == json.loads(json.dumps(FACTS))


def test_the_newest_counts_and_two_are_kept(checkpoints):
    for step in (990, 1000, 20000):
        checkpoints.save(step, tensors(step), FACTS)
    assert checkpoints.load()[0] == 20000
    assert len(list(checkpoints.folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["a bit", "half", "all"])
def test_a_damaged_one_is_passed_over_and_removed(checkpoints, damage, capfd, survived):
    for step in (10, 20):
        checkpoints.save(step, tensors(step), FACTS)
    newest = max(checkpoints.folder.iterdir())
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes({"a bit": content, "half": content[: len(content) // 2], "all": b""}[damage])
    step, found, _ = checkpoints.load()
    assert (step, float(found["step"])) == (10, 10.0)
    assert not newest.exists()
    said = f"{checkpoints.folder}: damaged: the checkpoint of step 20; training goes on after step 10\n"
    assert capfd.readouterr().err == said
    assert checkpoints.load()[0] == 10
    assert capfd.readouterr().err == ""
    survived("faults")


def test_where_all_are_damaged_training_starts_anew(checkpoints, capfd):
    for step in (10, 20):
        checkpoints.save(step, tensors(step), FACTS)
    for path in checkpoints.folder.iterdir():
        path.write_bytes(b"")
    assert checkpoints.load() is None
    said = f"{checkpoints.folder}: damaged: the checkpoint of step 20 and step 10; training starts anew\n"
    assert capfd.readouterr().err == said


def test_what_a_kill_left_half_written_is_no_checkpoint(checkpoints, capfd, survived):
    unfinished = checkpoints.folder / ".unfinished-000000000020-0.safetensors"
    checkpoints.folder.mkdir()
    unfinished.write_bytes(b"half")
    assert checkpoints._files() == []
    assert checkpoints.load() is None
    checkpoints.save(10, tensors(10), FACTS)
    assert checkpoints.load()[0] == 10
    assert len(checkpoints._files()) == 1
    assert capfd.readouterr().err == ""
    survived("faults")


def test_they_come_at_intervals_and_cost_little(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("flowbench.training.checkpoints.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path, 30.0)
    assert not checkpoints.due
    now[0] += 30
    assert checkpoints.due

    def slow(*_) -> None:
        now[0] += 4

    monkeypatch.setattr("flowbench.training.checkpoints.replace_file", slow)
    checkpoints.save(10, {}, {})
    now[0] += 79
    assert not checkpoints.due
    now[0] += 1
    assert checkpoints.due
