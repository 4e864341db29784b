"""Exports: whole, readable without the repository, and refused in one line where they were altered."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import flowbench
from flowbench import cli
from flowbench.config import ConfigError
from flowbench.export import CARD, FLOW, WEIGHTS, export
from flowbench.records.files import RecordError
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, CONTINUOUS, IMAGES, VECTORS


@pytest.fixture
def written(tiny, tmp_path):
    target = tmp_path / "export"
    export(tiny.measured(VECTORS), target)
    return target


@pytest.mark.parametrize("key", [VECTORS, CONTINUOUS, IMAGES, AUTOENCODER, tiny_cells.BASELINE])
def test_an_export_is_the_trained_flow(tiny, tmp_path, key):
    folder = tiny.measured(key)
    export(folder, tmp_path / "export", seed=1)
    flow, exported = flowbench.load(folder, seed=1), flowbench.load(tmp_path / "export")
    state, other = flow.state_dict(), exported.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)
    draws = [model.sample(5, torch.Generator().manual_seed(3)) for model in (flow, exported)]
    assert torch.equal(*draws)
    assert {path.name for path in (tmp_path / "export").iterdir()} == {FLOW, WEIGHTS, CARD}


# What reading an export may import: these, the standard library, and what torch itself imports.
ALLOWED = ("flowbench", "torch", "numpy", "safetensors", "pydantic")


@pytest.mark.parametrize("key", [VECTORS, IMAGES])
def test_an_export_needs_neither_the_repository_nor_other_libraries(tiny, tmp_path, key):
    export(tiny.measured(key), tmp_path / "export")
    code = f"""
import sys
import torch, numpy, safetensors.torch
from pydantic import BaseModel, Field, PositiveInt, create_model
before = set(sys.modules)

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {ALLOWED!r} and top not in sys.stdlib_module_names and top not in before:
            raise ImportError("it imports " + name)

sys.meta_path.insert(0, Refuse())
import flowbench
flow = flowbench.load({str(tmp_path / "export")!r})
print(flow.log_prob(flow.sample(3)).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("torch.Size([3])\n", "")


def test_the_card_says_what_was_measured(written, tiny):
    card = (written / CARD).read_text(encoding="utf-8")
    facts = json.loads((written / FLOW).read_text(encoding="utf-8"))
    assert f"{float(facts['metrics']['bits_per_dim']['value']):.6g}" in card
    assert "# affine on gaussian" in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {row.replace(r"\|", "").count("|") for row in rows} == {6}


def test_an_export_takes_the_place_of_an_older_one_and_of_nothing_else(tiny, written, tmp_path):
    export(tiny.measured(VECTORS), written, seed=1)
    assert json.loads((written / FLOW).read_text(encoding="utf-8"))["seed"] == 1
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("1")
    with pytest.raises(ConfigError, match="thesis: holds something else"):
        export(tiny.measured(VECTORS), other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def altered(change):
    def edit(folder: Path) -> None:
        path = folder / FLOW
        facts = json.loads(path.read_text(encoding="utf-8"))
        change(facts)
        path.write_text(json.dumps(facts), encoding="utf-8")

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"flow\.safetensors: cannot be read"),
        (
            lambda folder: (folder / WEIGHTS).write_bytes(b"1234567890"),
            r"flow\.safetensors: is not what flow\.json was",
        ),
        (lambda folder: (folder / FLOW).write_text("{"), r"flow\.json: is damaged"),
        (lambda folder: (folder / FLOW).write_text("[]"), r"flow\.json: is damaged"),
        (lambda folder: (folder / FLOW).write_bytes(b"\xff\xfe"), r"flow\.json: is damaged"),
        (altered(lambda facts: facts.pop("event")), r"flow\.json: is damaged \(has no 'event'\)"),
        (altered(lambda facts: facts.update(format=9)), "is of format 9, and this version reads 1"),
        (altered(lambda facts: facts.update(flow="afine")), "'afine': no such flow; did you mean 'affine'"),
        (
            altered(lambda facts: facts.update(flow="radial")),
            r"flow = 'radial': no such flow; .* \(the flow of a plug-in loads only where the plug-in is installed",
        ),
        (altered(lambda facts: facts["event"].update(shape=[3])), "do not fit together"),
        (altered(lambda facts: facts["event"].update(shape="x")), "is damaged"),
        (altered(lambda facts: facts.update(options={"layers": 2})), "'layers': no such key"),
    ],
)
def test_an_altered_export_is_one_line(written, damage, message):
    damage(written)
    with pytest.raises((RecordError, ConfigError), match=message) as error:
        flowbench.load(written)
    assert "\n" not in str(error.value)


def test_the_command_writes_and_says_how_to_load(tiny, tmp_path, monkeypatch, capsys):
    tiny.measured(VECTORS)
    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr(sys, "argv", ["flowbench", "export", VECTORS, str(tmp_path / "out"), "--suite", "tiny"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "load it with flowbench.load(" in capsys.readouterr().out
    np.testing.assert_equal(flowbench.load(tmp_path / "out").sample(2).shape, (2, 2))


def test_the_command_refuses_what_is_not_trained(tiny, tmp_path, monkeypatch, capsys):
    root = tiny.copy(tmp_path / "copy")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["flowbench", "export", VECTORS, str(tmp_path / "out"), "--suite", "tiny"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "is missing; make it again with" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
