"""Want of memory names the key to change, and leaves what was there before."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch

from flowbench.config import ConfigError
from flowbench.evaluation import likelihood
from flowbench.evaluation.cell import CellEvaluation
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells
from tests.tiny_cells import ENERGY, VECTORS

STAGES = {"train": CellTraining, "evaluate": CellEvaluation}
# Petabytes, which no machine hands out: real refusals of the CPU's allocators, what the kernel does,
# and what a GPU's is said to be.
GREEDY = {
    "torch": lambda: torch.empty(10**15),
    "numpy": lambda: np.empty(10**15),
    "kernel": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "gpu": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 80.00 GiB")),
}


# Both stages meet each kind in the same way.
@pytest.mark.parametrize(
    ("stage", "exhaust"),
    [
        pytest.param(stage, exhaust, id=f"{stage}-{kind}", marks=pytest.mark.slow if late and kind != "torch" else ())
        for stage, late in zip(STAGES, (False, True), strict=True)
        for kind, exhaust in GREEDY.items()
    ],
)
def test_want_of_memory_is_one_line_that_names_the_key(stage, exhaust, tiny, tmp_path, monkeypatch, survived):
    tiny.measured(VECTORS)
    cell = tiny_cells.resolve(tiny.copy(tmp_path / "copy", VECTORS), VECTORS)
    before = tiny_cells.contents(cell.folder)
    monkeypatch.setattr(likelihood, "negative_log_likelihoods", lambda *_: exhaust())
    monkeypatch.setattr(training_cell, "DataLoss", type("Greedy", (DataLoss,), {"loss": lambda *_: exhaust()}))
    size = getattr(cell, stage).batch_size
    line = rf"^params\.yaml: budgets\.tiny\.{stage}\.batch_size = {size}: {VECTORS} needs more memory [^\n]*$"
    with pytest.raises(ConfigError, match=line):
        STAGES[stage](cell).run()
    assert tiny_cells.contents(cell.folder) == before
    monkeypatch.undo()
    STAGES[stage](cell).run()
    assert tiny_cells.steady(cell.folder).items() >= {
        (name, content) for name, content in before.items() if name not in tiny_cells.TIMINGS
    }
    survived("faults")


def test_a_batch_that_no_machine_can_hold_names_the_key(tiny, tmp_path, survived):
    root = tiny.copy(tmp_path / "copy")
    tiny_cells.edit(root, "batch_size: 50", f"batch_size: {10**15}")
    # Drawn from the prior, and so of any size; one of data is no larger than the split.
    line = rf"^params\.yaml: budgets\.tiny\.train\.batch_size = {10**15}: {ENERGY} needs more memory [^\n]*$"
    cell = tiny_cells.resolve(root, ENERGY)
    with pytest.raises(ConfigError, match=line):
        CellTraining(cell).run()
    assert tiny_cells.contents(cell.folder) == {}
    survived("faults")
