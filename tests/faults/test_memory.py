"""Want of memory names the key to change, and leaves what was there before."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from flowbench import config
from flowbench.config import ConfigError, Params
from flowbench.evaluation import cell as evaluation_cell
from flowbench.evaluation.cell import CellEvaluation
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells

KEY = "gaussian-affine"
# Petabytes, which no machine hands out: real refusals of the CPU's allocators, what the kernel does,
# and what a GPU's is said to be.
GREEDY = {
    "torch": lambda: torch.empty(10**15),
    "numpy": lambda: np.empty(10**15),
    "kernel": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "gpu": lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 80.00 GiB")),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple[Path, Params]:
    root = tmp_path_factory.mktemp("memory")
    params = tiny_cells.prepare(root)
    CellTraining(params, KEY, root).run()
    CellEvaluation(params, KEY, root).run()
    return root, params


@pytest.mark.parametrize("exhaust", GREEDY.values(), ids=GREEDY)
@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_want_of_memory_is_one_line_that_names_the_key(stage, exhaust, measured, monkeypatch, survived):
    root, params = measured
    before = tiny_cells.contents(root / "results")
    monkeypatch.setattr(evaluation_cell, "likelihood", lambda *_: exhaust())
    monkeypatch.setattr(training_cell, "DataLoss", type("Greedy", (DataLoss,), {"loss": lambda *_: exhaust()}))
    size = getattr(params.budgets["tiny"], stage).batch_size
    line = rf"^params\.yaml: budgets\.tiny\.{stage}\.batch_size = {size}: {KEY} needs more memory [^\n]*$"
    with pytest.raises(ConfigError, match=line):
        run(stage, params, root)
    assert tiny_cells.contents(root / "results") == before
    monkeypatch.undo()
    run(stage, params, root)
    after = tiny_cells.contents(root / "results")
    assert {name for name in before if before[name] != after[name]} <= {
        f"{KEY}/timings.json",
        f"{KEY}/train_timings.json",
    }
    survived("faults")


def test_a_batch_that_no_machine_can_hold_names_the_key(tmp_path, survived):
    tiny_cells.prepare(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("batch_size: 50", f"batch_size: {10**15}"), encoding="utf-8"
    )
    # Drawn from the prior, and so of any size; one of data is no larger than the split.
    key = "two_modes-realnvp"
    line = rf"^params\.yaml: budgets\.tiny\.train\.batch_size = {10**15}: {key} needs more memory [^\n]*$"
    with pytest.raises(ConfigError, match=line):
        CellTraining(config.load(path), key, tmp_path).run()
    assert tiny_cells.contents(tmp_path / "results") == {}
    survived("faults")


def run(stage: str, params: Params, root: Path) -> None:
    {"train": CellTraining, "evaluate": CellEvaluation}[stage](params, KEY, root).run()
