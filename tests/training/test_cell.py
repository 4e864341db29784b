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
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from flowbench.config import ConfigError, Params
from flowbench.core import FlowModel
from flowbench.runtime.seeding import seed_for
from flowbench.training import cell as training_cell
from flowbench.training.cell import CellTraining
from flowbench.training.objectives import DataLoss
from tests import tiny_cells

TIMINGS = "train_timings.json"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[Path, Params]:
    root = tmp_path_factory.mktemp("tiny")
    return root, tiny_cells.prepare(root)


def trained(prepared: tuple[Path, Params], key: str) -> dict[str, bytes]:
    """What training the cell writes."""
    root, params = prepared
    CellTraining(params, key, root).run()
    return tiny_cells.contents(root / "results" / key)


def with_budget(params: Params, **options) -> Params:
    tiny = params.budgets["tiny"]
    train = tiny.train.model_copy(update=options)
    return params.model_copy(update={"budgets": {"tiny": tiny.model_copy(update={"train": train})}})


@pytest.mark.parametrize("key", ["gaussian-affine", "gaussian-gaussian", "two_modes-realnvp", "digits-maf"])
def test_training_twice_gives_the_same_bytes(prepared, key):
    first, again = trained(prepared, key), trained(prepared, key)
    weights = {f"trained/seed-{seed}.safetensors" for seed in range(3)}
    snapshots = {"trained/snapshots.npz"} if key == "two_modes-realnvp" else set()
    assert set(first) == {"training.json", "history.csv", TIMINGS} | weights | snapshots
    del first[TIMINGS], again[TIMINGS]
    assert first == again
    assert len({first[name] for name in weights}) == (1 if key == "gaussian-gaussian" else 3)


def test_the_record(prepared):
    files = trained(prepared, "gaussian-affine")
    record = json.loads(files["training.json"])
    assert (record["cell"], record["kind"], record["likelihood"], record["parameters"]) == (
        "gaussian-affine",
        "flow",
        "exact",
        4,
    )
    assert {seed: entry["status"] for seed, entry in record["seeds"].items()} == dict.fromkeys("012", "finished")
    assert record["provenance"]["params"]["budget"]["steps"] == 30
    assert {(entry["steps"], entry["epochs"]) for entry in record["seeds"].values()} == {(30, 30 * 50 / 500)}
    assert set(record["provenance"]["data"]) == {"train", "validation", "test"}
    rows = list(csv.DictReader(files["history.csv"].decode().splitlines()))
    assert [(row["seed"], row["step"]) for row in rows] == [(s, n) for s in "012" for n in ("10", "20", "30")]
    for seed, entry in record["seeds"].items():
        losses = {int(row["step"]): float(row["validation_loss"]) for row in rows if row["seed"] == seed}
        assert losses[entry["best_step"]] == entry["best_validation_loss"] == min(losses.values())
    timings = json.loads(files[TIMINGS])
    assert timings["device"] == "cpu"
    assert all(entry["train_samples_per_second"] > 0 for entry in timings["seeds"].values())
    baseline = json.loads(trained(prepared, "gaussian-gaussian")["training.json"])
    assert baseline["kind"] == "baseline"
    assert {(entry["steps"], entry["epochs"]) for entry in baseline["seeds"].values()} == {(0, None)}
    energy = json.loads(trained(prepared, "two_modes-realnvp")["training.json"])
    assert {(entry["steps"], entry["epochs"]) for entry in energy["seeds"].values()} == {(30, None)}


def test_a_seed_depends_neither_on_the_others_nor_on_how_many_run_at_once(prepared, monkeypatch):
    root, params = prepared
    expected = trained(prepared, "gaussian-affine")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert {**trained(prepared, "gaussian-affine"), TIMINGS: b""} == {**expected, TIMINGS: b""}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert {**trained(prepared, "gaussian-affine"), TIMINGS: b""} == {**expected, TIMINGS: b""}
    alone = trained((root, with_budget(params, seeds=[2])), "gaussian-affine")
    assert alone["trained/seed-2.safetensors"] == expected["trained/seed-2.safetensors"]
    assert "trained/seed-0.safetensors" not in alone  # nothing is left of an earlier run


@pytest.mark.parametrize("key", ["two_modes-realnvp", "digits-maf"])
def test_seeds_that_follow_each_other_in_one_process_do_not_depend_on_their_order(prepared, monkeypatch, key):
    expected = trained(prepared, key)
    # As on a GPU.
    monkeypatch.setattr(
        training_cell, "for_each_seed", lambda train, seeds, *_: {seed: train(seed) for seed in reversed(seeds)}
    )
    found = trained(prepared, key)
    for name in expected:
        if name.endswith((".safetensors", ".npz")):
            assert found[name] == expected[name]


def test_weights_are_those_of_the_cells_model(prepared):
    root, params = prepared
    trained(prepared, "digits-maf")
    weights = load_file(root / "results/digits-maf/trained/seed-1.safetensors")
    initial = CellTraining(params, "digits-maf", root).build(1)
    assert set(weights) == set(initial.state_dict())
    initial.load_state_dict(weights)
    assert initial.log_prob(torch.zeros(2, 1, 8, 8)).isfinite().all()


def test_a_diverged_seed_is_recorded_and_the_others_go_on(prepared, monkeypatch):
    lost = seed_for("gaussian", "affine", "plane", 1, "validation")

    class Failing(DataLoss):
        def loss(self, step):
            return super().loss(step) * (math.nan if self.validation_seed == lost and step >= 12 else 1)

    expected = trained(prepared, "gaussian-affine")
    monkeypatch.setattr(training_cell, "DataLoss", Failing)
    files = trained(prepared, "gaussian-affine")
    seeds = json.loads(files["training.json"])["seeds"]
    assert {seed: entry["status"] for seed, entry in seeds.items()} == {
        "0": "finished",
        "1": "diverged",
        "2": "finished",
    }
    assert (seeds["1"]["diverged_at"], seeds["1"]["best_step"]) == (20, 10)
    assert "trained/seed-1.safetensors" not in files
    for seed in (0, 2):
        assert files[f"trained/seed-{seed}.safetensors"] == expected[f"trained/seed-{seed}.safetensors"]
    rows = [row for row in csv.DictReader(files["history.csv"].decode().splitlines()) if row["seed"] == "1"]
    assert [row["step"] for row in rows] == ["10", "20"]
    assert rows[-1]["loss"] == "nan"


def test_a_failed_training_leaves_the_results_before_it(prepared, monkeypatch):
    root, params = prepared
    expected = trained(prepared, "gaussian-affine")
    monkeypatch.setattr(training_cell, "train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        CellTraining(params, "gaussian-affine", root).run()
    assert tiny_cells.contents(root / "results/gaussian-affine") == expected


def test_too_little_memory_is_one_line_that_names_the_key(prepared, monkeypatch):
    root, params = prepared
    expected = trained(prepared, "gaussian-affine")

    class Greedy(DataLoss):
        def loss(self, step):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has …")

    monkeypatch.setattr(training_cell, "DataLoss", Greedy)
    with pytest.raises(ConfigError) as caught:
        CellTraining(params, "gaussian-affine", root).run()
    assert str(caught.value) == (
        "params.yaml: budgets.tiny.train.batch_size = 50: gaussian-affine needs more memory than is free on the cpu "
        "device; choose a smaller one"
    )
    assert tiny_cells.contents(root / "results/gaussian-affine") == expected


def test_a_flow_that_cannot_be_compiled_is_one_line_that_names_the_key(prepared, monkeypatch):
    root, params = prepared

    def backend(graph, inputs):
        raise OSError("no compiler here")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(ConfigError, match=r"^params.yaml: budgets.tiny.train.compile = true: .*no compiler here$"):
        CellTraining(with_budget(params, compile=True), "gaussian-affine", root).run()


def test_a_solver_is_not_compiled_and_one_line_names_the_key(prepared):
    root, params = prepared
    cnf = params.cell("gaussian-affine").model_copy(update={"flow": "cnf", "config": "small"})
    cells = params.active.cells | {"gaussian-cnf": cnf}
    params = params.model_copy(
        update={
            "flows": params.flows | {"cnf": {"small": {"hidden": [8]}}},
            "active": params.active.model_copy(update={"cells": cells}),
        }
    )
    with pytest.raises(
        ConfigError,
        match=r"^params.yaml: budgets.tiny.train.compile = true: torch cannot compile gaussian-cnf here, choose false; "
        r"it says: ContinuousFlow chooses its steps while it runs$",
    ):
        CellTraining(with_budget(params, compile=True), "gaussian-cnf", root).run()


def test_batches_that_batch_normalisation_cannot_take_are_one_line_that_names_the_key(prepared):
    root, params = prepared
    with pytest.raises(
        ConfigError,
        match=r"^params.yaml: budgets.tiny.train.batch_size = 1: digits-flow_autoencoder needs batches of at least 2 "
        r"examples, got 1$",
    ):
        CellTraining(with_budget(params, batch_size=1), "digits-flow_autoencoder", root).run()


def test_initialisation_and_validation_see_no_more_than_they_may(prepared, monkeypatch):
    root, params = prepared
    monkeypatch.setattr(training_cell, "_INITIALISATION_EXAMPLES", 10)
    seen = []

    class Recording(DataLoss):
        def __init__(self, model, batches, validation, *arguments, **options):
            seen.append(validation)
            super().__init__(model, batches, validation, *arguments, **options)

    monkeypatch.setattr(training_cell, "DataLoss", Recording)
    monkeypatch.setattr(FlowModel, "initialise", lambda model, x: seen.append(x))
    training = CellTraining(with_budget(params, validation_examples=7), "digits-maf", root)
    (root / "alone/trained").mkdir(parents=True)
    training._train_seed(0, root / "alone")
    first, validation = (torch.from_numpy(np.array(training.splits[name])) for name in ("train", "validation"))
    assert torch.equal(seen[0], first[:10])
    assert torch.equal(seen[1], validation[:7])


def test_seeds_share_the_examples_in_memory(prepared):
    root, params = prepared
    training = CellTraining(params, "digits-maf", root)
    split = training._split("train")
    assert split.dtype == torch.uint8
    assert split.data_ptr() == training.splits["train"].ctypes.data
    assert isinstance(training.splits["train"], np.memmap)


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        (None, False),
        ("stages/train.py", True),
        ("flowbench/new.py", True),
        ("stages/new/part.py", True),
        ("flowbench/__pycache__/new.pyc", False),
        ("notes.txt", False),
        ("dvc.lock", False),
        ("params.yaml", False),
        ("README.md", True),
    ],
)
def test_the_commit_is_that_of_the_code(tmp_path, monkeypatch, path, dirty):
    monkeypatch.chdir(tmp_path)
    for name in ("flowbench/old.py", "stages/train.py", "dvc.lock", "params.yaml", "README.md"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path(".gitignore").write_text("__pycache__/\n", encoding="utf-8")

    def git(*command: str) -> str:
        who = ("-c", "user.name=me", "-c", "user.email=me@host")
        return subprocess.run(["git", *who, *command], capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    if path:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text("changed", encoding="utf-8")
    assert training_cell._git_commit() == git("rev-parse", "HEAD") + ("-dirty" if dirty else "")


def test_training_needs_neither_pipeline_nor_report():
    blocked = ("dvc", "mlflow", "pandas", "matplotlib", "torchvision", "jinja2", "grimp", "sklearn")
    code = f"import sys; sys.modules |= dict.fromkeys({blocked}); import flowbench.training.cell, stages.train"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_killed_training_leaves_nothing_that_could_be_taken_for_a_result(prepared):
    root, params = prepared
    key = "gaussian-affine-endless"
    folder = root / "results" / key
    parent = multiprocessing.get_context("fork").Process(target=CellTraining(params, key, root).run)
    parent.start()

    def children() -> list[int]:
        return [
            int(pid)
            for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text(encoding="utf-8").split()
        ]

    wait_until(lambda: list(folder.glob(".unfinished-*/trained")) and children())
    workers = children()
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    try:
        # No child of a killed parent goes on writing.
        wait_until(lambda: not any(map(alive, workers)))
    finally:
        for worker in filter(alive, workers):
            os.kill(worker, signal.SIGKILL)
    (left,) = folder.iterdir()
    assert left.name.startswith(".unfinished-")

    few_steps = params.model_copy(update={"budgets": params.budgets | {"endless": params.budgets["tiny"]}})
    files = trained((root, few_steps), key)
    assert {path.split("/")[0] for path in files} == {"trained", "training.json", "history.csv", TIMINGS}
    assert not left.exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_twice_on_a_gpu_gives_the_same_weights_and_metrics(tmp_path):
    found = []
    for name in ("first", "again"):
        root = tmp_path / name
        root.mkdir()
        tiny_cells.prepare(root)
        (root / "params.yaml").write_text(tiny_cells.TEXT.replace("device: cpu", "device: cuda"), encoding="utf-8")
        # In a process of its own: what makes a GPU repeat itself is set once, and before its first use.
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        for stage in ("train", "evaluate"):
            command = [sys.executable, "-m", f"stages.{stage}", "digits-maf"]
            subprocess.run(command, cwd=root, env=environment, check=True)
        files = tiny_cells.contents(root / "results" / "digits-maf")
        assert json.loads(files[TIMINGS])["device"] == "cuda"
        steady = (".safetensors", "metrics.json", "seeds.csv")
        found.append({path: content for path, content in files.items() if path.endswith(steady)})
    assert len(found[0]) == 5
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
