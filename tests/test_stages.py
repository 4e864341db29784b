"""How a stage ends: every error that the user can mend is one line."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowbench.config import ConfigError
from flowbench.data import DataError
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.processes import ProcessError
from stages._run import run

ROOT = Path(__file__).parent.parent


def ending(monkeypatch, error: BaseException) -> object:
    """What a stage ends with that raises ``error``."""

    def main() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as end:
        run(main)
    return end.value.code


@pytest.mark.parametrize("kind", [ExpectedError, DataError, ProcessError])
def test_an_expected_error_ends_any_stage_with_its_message(kind, monkeypatch):
    assert ending(monkeypatch, kind("data.x: expected 1, found 2")) == "data.x: expected 1, found 2"


def test_a_mistake_in_params_has_a_status_of_its_own(monkeypatch, capsys):
    assert ending(monkeypatch, ConfigError("params.yaml: x = 1: is wrong")) == 2
    assert capsys.readouterr().err == "params.yaml: x = 1: is wrong\n"


def test_a_disk_that_refuses_is_named(monkeypatch):
    found = ending(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results"))
    assert found == "results: No space left on device; once that is mended, run it again"


@pytest.mark.parametrize("error", [RuntimeError("a defect"), OSError(errno.EBADF, "a defect")])
def test_a_defect_shows_its_traceback(error, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(type(error), match="a defect"):
        run(lambda: (_ for _ in ()).throw(error))


def test_the_damaged_data_of_a_cell_are_one_line(tmp_path):
    from tests import tiny_cells
    from tests.faults import stages

    tiny_cells.prepare(tmp_path)
    (tmp_path / "data" / "gaussian" / "train.npy").unlink()
    line = stages.complaint(tmp_path, "train", "tiny", "gaussian-affine")
    assert line.startswith(f"{Path('data', 'gaussian', 'train.npy')}: expected an array with fingerprint ")


def test_a_stage_starts_without_torch():
    program = "import sys, stages; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_the_stages_are_installed(tmp_path):
    """Elsewhere, without the working directory on the path, as with ``PYTHONSAFEPATH=1``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "stages.train", "--help"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_a_borrowed_machine_needs_little_and_no_compiler():
    """Training and measuring need nothing of the pipeline or the report; importing torch's compiler takes seconds."""
    program = """
import sys
sys.modules |= dict.fromkeys(("dvc", "mlflow", "pandas", "matplotlib", "torchvision", "jinja2", "grimp", "sklearn"))
import importlib, torch
import flowbench.evaluation.cell, flowbench.flows, stages.evaluate, stages.train
from flowbench.config import TrainBudget
from flowbench.core import FlowModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.training.batches import Batches
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss

for name in flowbench.flows.names():
    importlib.import_module(f"flowbench.flows.{name}")
x = torch.randn(50, 2)
model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
budget = TrainBudget(steps=20, batch_size=10, ema_decay=0.9, clip_norm=1.0, validate_every=10)
train(model, DataLoss(model, Batches(x, 10, torch.device("cpu")), x, 0), budget)
assert "torch._dynamo" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
