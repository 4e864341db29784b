"""What a source leaves on disk: whole or not at all, and the same when it is read."""

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flowbench import config, data
from flowbench.core import Event
from stages import download
from stages._run import run

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def source():
    return data.load("two_modes", train=30, validation=20, test=10)


@pytest.fixture
def folder(tmp_path, source):
    data.save(source, tmp_path / "two_modes")
    return tmp_path / "two_modes"


def test_reads_what_was_saved(folder, source):
    found = data.read(folder)
    assert tuple(found) == data.SPLITS
    for split, array in source.splits().items():
        assert np.array_equal(found[split], array)
        assert not found[split].flags.writeable
    assert sorted(path.name for path in folder.iterdir()) == ["info.json", "test.npy", "train.npy", "validation.npy"]


def test_says_what_is_known_of_the_source(folder, source):
    info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    assert info["event"] == {"shape": [2], "levels": None, "standardise": False, "start": None, "classes": None}
    assert info["entropy_nats"] == data.saved_entropy(folder) == source.entropy()
    assert info["fingerprint"] == data.fingerprint(folder)


def test_integers_without_a_known_entropy(tmp_path):
    data.save(data.load("digits", validation=10, test=10), tmp_path / "digits")
    assert data.read(tmp_path / "digits")["test"].dtype == np.uint8
    assert json.loads((tmp_path / "digits/info.json").read_text(encoding="utf-8"))["entropy_nats"] is None


def test_saves_the_same_bytes_each_time(folder, source):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    data.save(source, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(folder.parent.iterdir()) == [folder]


def test_the_fingerprint_is_of_type_and_shape_too(tmp_path, source, monkeypatch):
    seen = set()
    content = np.arange(8, dtype=np.float32)
    for array, levels in ((content.reshape(4, 2), None), (content.reshape(2, 4), None), (content.view(np.uint8), 256)):
        monkeypatch.setattr(type(source), "event", Event(array.shape[1:], levels=levels))
        monkeypatch.setattr(type(source), "grid", None)
        monkeypatch.setattr(type(source), "splits", lambda self, array=array: dict.fromkeys(data.SPLITS, array))
        data.save(source, tmp_path / "x")
        seen.add(data.fingerprint(tmp_path / "x")["test"])
    assert len(seen) == 3


def flip_the_last_byte(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pickle_instead(path):
    np.save(path, np.array([{}]), allow_pickle=True)


@pytest.mark.parametrize("damage", [flip_the_last_byte, cut_in_half, pickle_instead, os.remove])
def test_a_damaged_file_is_named(folder, damage):
    expected = data.fingerprint(folder)["validation"]
    damage(folder / "validation.npy")
    with pytest.raises(data.DataError, match=rf"validation\.npy: expected an array with fingerprint {expected}, found"):
        data.read(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_damaged_information_is_named(folder, content):
    (folder / "info.json").write_text(content, encoding="utf-8")
    with pytest.raises(data.DataError, match=r"info\.json: expected the fingerprint of a data set"):
        data.read(folder)


def stop_at_the_second_file(patch: pytest.MonkeyPatch, stop: Callable[[], object]) -> None:
    """Make saving call ``stop`` when one file has been written."""
    save, written = np.save, []

    def save_or_stop(path, *args, **kwargs):
        if written:
            stop()
        written.append(path)
        save(path, *args, **kwargs)

    patch.setattr(np, "save", save_or_stop)


def interrupt():
    raise KeyboardInterrupt


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_interrupted_save_leaves_nothing(tmp_path, source, monkeypatch):
    stop_at_the_second_file(monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.save(source, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_killed_save_leaves_the_old_data_and_the_next_one_clears_up(folder, source, monkeypatch):
    larger = data.load("two_modes", train=31, validation=20, test=10)
    with monkeypatch.context() as patch:
        stop_at_the_second_file(patch, kill)
        child = multiprocessing.get_context("fork").Process(target=data.save, args=(larger, folder))
        child.start()
        child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(data.read(folder)["train"]) == 30
    data.save(source, folder)
    assert list(folder.parent.iterdir()) == [folder]


def run_download(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["download", *arguments])
    with pytest.raises(SystemExit) as end:
        run(download.main)
    return end.value.code


def test_stage_writes_the_data_that_params_describe(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run_download(monkeypatch, "two_modes") == 0
    options = config.load().data["two_modes"]
    assert {split: len(array) for split, array in data.read(tmp_path / "data/two_modes").items()} == options


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two_mods", "params.yaml: data = 'two_mods': no such data set; did you mean 'two_modes'?\n"),
        ("two_modes", "params.yaml: data.two_modes.train = -1: input should be greater than 0\n"),
    ],
)
def test_stage_refuses_bad_input_in_one_line(folder, name, message, monkeypatch, capsys):
    text = PARAMS.read_text(encoding="utf-8").replace("two_modes: {train: 1000", "two_modes: {train: -1")
    (folder.parent / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    assert run_download(monkeypatch, name) == 2
    assert capsys.readouterr().err == message
    assert not (folder.parent / "data").exists()


def test_an_interrupted_stage_ends_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr(config, "load", interrupt)
    assert run_download(monkeypatch, "two_modes") == 130
    assert "Traceback" not in capsys.readouterr().err


def test_labels_stand_beside_their_examples(tmp_path):
    from sklearn.datasets import load_digits

    source, found = data.load("digits", validation=10, test=10), load_digits()
    data.save(source, tmp_path / "digits")
    known = {image.astype(np.uint8).tobytes(): label for image, label in zip(found.images, found.target, strict=True)}
    splits, labels = data.read(tmp_path / "digits"), data.read_labels(tmp_path / "digits")
    for split in data.SPLITS:
        assert labels[split].tolist() == [known[image.tobytes()] for image in splits[split]]
    flip_the_last_byte(tmp_path / "digits/test.labels.npy")
    with pytest.raises(data.DataError, match=r"test\.labels\.npy: expected an array with fingerprint"):
        data.read_labels(tmp_path / "digits")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 2, 0]), "expected labels from 0 to 1, found 0 to 2"),
        (np.array(list("abca")), "expected labels of 2 classes, found 3: a, b, c"),
        (np.array([0, 1]), r"train: expected 4 labels, found \(2,\)"),
    ],
)
def test_labels_that_are_not_those_of_the_event_are_refused(tmp_path, source, monkeypatch, labels, message):
    examples = np.arange(8, dtype=np.float32).reshape(4, 2)
    monkeypatch.setattr(type(source), "event", Event((2,), classes=2))
    monkeypatch.setattr(type(source), "labelled", lambda self: dict.fromkeys(data.SPLITS, (examples, labels)))
    with pytest.raises(data.DataError, match=message):
        data.save(source, tmp_path / "x")


def test_texts_become_numbers_in_their_order(tmp_path, source, monkeypatch):
    examples = np.arange(8, dtype=np.float32).reshape(4, 2)
    monkeypatch.setattr(type(source), "event", Event((2,), classes=2))
    monkeypatch.setattr(type(source), "grid", None)
    monkeypatch.setattr(
        type(source), "labelled", lambda self: dict.fromkeys(data.SPLITS, (examples, np.array(list("hggh"))))
    )
    data.save(source, tmp_path / "x")
    assert data.read_labels(tmp_path / "x")["train"].tolist() == [1, 0, 0, 1]
