"""``run``, ``estimate`` and ``pull``: what DVC would do and does, and how far it is."""

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from flowbench import config
from flowbench.cli import plan
from flowbench.cli.arguments import cells_of
from flowbench.cli.plan import Work
from flowbench.cli.run import Progress
from flowbench.config import suites
from tests.cli import pipeline
from tests.cli.commands import edit, run

BOTH = ["train", "evaluate"]


def estimate() -> dict:
    result = run("estimate", "smoke", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_cells_are_estimated_run_and_pulled(monkeypatch, fail):
    pipeline.prepare(monkeypatch)
    monkeypatch.setattr(plan, "cores", lambda: 1)
    # These stages import nothing that a server would have imported already.
    monkeypatch.setattr(sys.modules[Progress.__module__], "warm", nullcontext)

    # The report's times, for two seeds on one core; those of a GPU say nothing of this machine.
    assert estimate() == {
        "suite": "smoke",
        "cells": 2,
        "cores": 1,
        "stale": {
            "gaussian-affine": {"stages": BOTH, "train_seconds": 30.0, "evaluate_seconds": 8.0, "borrowed": []},
            "gaussian-gaussian": {"stages": BOTH, "train_seconds": None, "evaluate_seconds": None, "borrowed": []},
        },
        "train_seconds": 30.0,
        "evaluate_seconds": 8.0,
        "without_a_time": ["gaussian-gaussian"],
        "borrowed": [],
    }
    assert not Path("results").exists()
    assert fail("pull", "affine", "--suite", "smoke").startswith("there is no remote to pull from; name one with ")

    result = run("run", "affine", "--suite", "smoke")
    assert result.exit_code == 0, result.output
    assert [line.partition(" after ")[0] for line in result.output.splitlines()] == [
        "1 cell, 1 to run: about 30 s of training, about 8 s of measuring",
        "code (0 of 1 cell done, about 30 s of training, about 8 s of measuring)",
        "download@gaussian (0 of 1 cell done, about 30 s of training, about 8 s of measuring)",
        "train@gaussian-affine (0 of 1 cell done, about 30 s of training, about 8 s of measuring)",
        "evaluate@gaussian-affine (0 of 1 cell done, about 8 s of measuring)",
        "1 of 1 cell done",
    ]
    assert Path("results/smoke/gaussian-affine/metrics.json").is_file()
    assert not Path("results/smoke/gaussian-gaussian").exists()
    told = run("estimate", "smoke").output
    assert "gaussian-affine" not in told
    assert "  gaussian-gaussian " in told
    assert ("1 of the 2 cells of smoke are stale: no time on record, on 1 core.") in told

    # A flow's own code, and the times of its last training here.
    Path("flowbench/affine.py").write_text("changed", encoding="utf-8")
    assert estimate()["stale"]["gaussian-affine"] == {
        "stages": BOTH,
        "train_seconds": 400.0,
        "evaluate_seconds": 100.0,
        "borrowed": [],
    }

    Path("flowbench/gaussian.py").write_text("broken", encoding="utf-8")
    result = run("run", "gaussian-gaussian", "--suite", "smoke")
    assert result.exit_code == 1
    assert "\n0 of 1 cell done after " in result.output
    assert result.output.endswith("dvc repro failed, as it says above; what is done is kept\n")

    from dvc.repo import Repo

    with Repo() as repo, repo.config.edit() as settings:
        settings["remote"] = {"shared": {"url": str(Path("shared").absolute())}}
        settings["core"]["remote"] = "shared"
    assert fail("pull", "gaussian-gaussian", "--suite", "smoke").startswith(
        "suites/smoke/dvc.lock: has no gaussian-gaussian, so nobody can share it; make it with: flowbench run "
    )
    with Repo() as repo:
        repo.push(
            targets=["suites/smoke/dvc.yaml:train@gaussian-affine", "suites/smoke/dvc.yaml:evaluate@gaussian-affine"]
        )
    shutil.rmtree("results")
    shutil.rmtree(".dvc/cache")
    assert run("pull", "affine", "--suite", "smoke").exit_code == 0
    assert Path("results/smoke/gaussian-affine/metrics.json").is_file()


def progress(**work: Work) -> Progress:
    suite = suites.load("smoke", config.load())
    return Progress(suite, {f"moons-{name}": one for name, one in work.items()})


def test_progress_counts_what_is_fresh_skipped_and_restored():
    done = Work((), 0.0, 0.0)
    stale = Work(("train", "evaluate"), 60.0, 5.0)
    seen = progress(maf=stale, iaf=done, nice=stale, cnf=Work(("train", "evaluate"), None, 5.0))
    stage = "suites/smoke/dvc.yaml:{}@moons-{}".format
    assert (
        seen.summary
        == "4 cells, 3 to run: about 2 min of training, and 1 without a time on record, about 15 s of measuring"
    )
    assert seen.read(f"Stage '{stage('train', 'iaf')}' didn't change, skipping") is None
    assert seen.read(f"Stage '{stage('evaluate', 'iaf')}' didn't change, skipping") is None
    assert seen.done == "1 of 4 cells done"
    assert seen.read(f"Stage '{stage('train', 'maf')}' is cached - skipping run, checking out outputs") is None
    line = seen.read(f"Running stage '{stage('evaluate', 'maf')}':")
    assert line == (
        "evaluate@moons-maf (1 of 4 cells done, about 60 s of training, and 1 without a time on record, "
        "about 15 s of measuring)"
    )
    assert seen.read("> python -m stages.evaluate smoke moons-maf") is None
    assert seen.read("Updating lock file 'suites/smoke/dvc.lock'") is None
    assert seen.read("") is None
    assert seen.read("moons-maf seed 0: measured in part") == "moons-maf seed 0: measured in part"
    line = seen.read(f"Running stage '{stage('train', 'nice')}':")
    assert line.startswith("train@moons-nice (2 of 4 cells done, about 60 s of training")
    assert seen.read(f"Running stage '{stage('train', 'cnf')}':").endswith(
        "about 60 s of training, and 1 without a time on record, about 10 s of measuring)"
    )
    seen.end()
    assert seen.done == "2 of 4 cells done"


def test_a_flow_or_a_data_set_is_all_of_its_cells():
    smoke = suites.load("smoke", config.load())
    assert cells_of(smoke, ["moons-maf"]) == ["moons-maf"]
    # A flow and a data set are called so.
    assert cells_of(smoke, ["gaussian"]) == ["gaussian-affine", "moons-gaussian"]
    assert cells_of(smoke, ["digits", "planar"]) == [
        "two_modes-planar",
        "digits-flow_autoencoder",
        "digits-glow-multi-scale",
        "digits-maf-label",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["run"], "run: name cells, flows or data sets, or say --all"),
        (["run", "moons", "--all"], "run: name cells, flows or data sets, or say --all"),
        (
            ["run", "monos"],
            "argument 'monos': no such cell, flow or data set of the suite laptop; did you mean 'moons'?",
        ),
        (["run", "moons", "--suite", "smok"], "argument 'smok': no such suite; did you mean 'smoke'?"),
        (["estimate", "smok"], "argument 'smok': no such suite; did you mean 'smoke'?"),
        (["pull", "monos"], "argument 'monos': no such cell, flow or data set of the suite laptop; did you mean"),
        (["pull", "moons"], "dvc: "),
        (["estimate"], "dvc status: "),
    ],
    ids=" ".join,
)
def test_what_cannot_be_run_is_one_line(fail, arguments, line):
    run("expand", "laptop")
    assert fail(*arguments).startswith(line)


@pytest.mark.parametrize("arguments", [["run", "moons"], ["estimate"]], ids=" ".join)
def test_cells_that_dvc_does_not_know_yet_are_refused(fail, arguments):
    assert fail(*arguments) == "cells.json: is not what suites/laptop.yaml asks for; run `flowbench expand`\n"


class Interrupted:
    """In place of `dvc repro`: a Ctrl-C comes while its lines are read."""

    waited_for = False

    def __init__(self, command: list[str], **options):
        self.stdout = self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        assert self.waited_for

    def __iter__(self):
        raise KeyboardInterrupt

    def communicate(self):
        self.waited_for = True


def test_ctrl_c_waits_for_dvc_to_tidy_up(monkeypatch):
    run("expand", "smoke")
    monkeypatch.setattr(plan, "_changed", lambda suite, keys: {suite.stage("train", "moons-maf")})
    monkeypatch.setattr(sys.modules[Progress.__module__], "warm", nullcontext)
    monkeypatch.setattr("subprocess.Popen", Interrupted)
    result = run("run", "moons-maf", "--suite", "smoke")
    assert (result.exit_code, result.output) == (
        130,
        "1 cell, 1 to run: no time on record\n",
    )


def test_a_student_waits_for_its_teacher(monkeypatch):
    smoke = suites.load("smoke", config.load())
    changed = {"suites/smoke/dvc.yaml:train@moons-maf", "suites/smoke/dvc.yaml:evaluate@moons-iaf"}
    monkeypatch.setattr(plan, "_changed", lambda suite, keys: changed)
    found = plan.plan(smoke, config.load(), ["moons-maf", "moons-iaf_distilled", "moons-iaf", "moons-nice"])
    stages = {key: list(work.stages) for key, work in found.items()}
    assert stages == {"moons-maf": BOTH, "moons-iaf_distilled": BOTH, "moons-iaf": ["evaluate"], "moons-nice": []}
    # What is only measured has no training to wait for.
    assert [found[key].training for key in ("moons-maf", "moons-iaf")] == [None, 0.0]


def test_times_on_a_gpu_add_up_and_on_cores_they_share(monkeypatch):
    params = config.load()
    edit(Path("suites/smoke.yaml"), "seeds: [0, 1]", "seeds: [0, 1, 2]")
    cell = suites.load("smoke", params).cells["moons-maf"]
    for cores, seconds in {1: 30.0, 2: 15.0, 4: 10.0}.items():
        monkeypatch.setattr(plan, "cores", lambda cores=cores: cores)
        assert plan._here(cell.model_copy(update={"device": "cpu"}), params, 10.0) == seconds
    assert plan._here(cell.model_copy(update={"device": "cuda"}), params, 10.0) == 30.0


def test_a_cell_without_a_time_borrows_that_of_another_suite(monkeypatch):
    """Of the same data, flow and configuration; training counts by the steps of both budgets."""
    monkeypatch.setattr(plan, "cores", lambda: 1)
    params = config.load()
    smoke = suites.load("smoke", params)
    monkeypatch.setattr(plan, "_changed", lambda suite, keys: {suite.stage("train", key) for key in keys})
    assert plan.plan(smoke, params, ["moons-maf"])["moons-maf"].training is None
    laptop = suites.load("laptop", params).cells["moons-maf"]
    assert (laptop.flow, laptop.config) == ("maf", smoke.cells["moons-maf"].config)
    rows = ["cell,device,metric,value"]
    rows += [
        f"moons-maf,cpu,{metric},{seconds}" for metric in ("train_seconds", "evaluate_seconds") for seconds in (8, 12)
    ]
    rows += ["moons-maf,cuda,train_seconds,1"]
    write(Path("reports/laptop/results.csv"), rows)
    steps = {
        name: params.budgets[cell.budget].train.steps
        for name, cell in (("smoke", smoke.cells["moons-maf"]), ("laptop", laptop))
    }
    seeds = len(smoke.cells["moons-maf"].seeds)
    found = plan.plan(smoke, params, ["moons-maf"])["moons-maf"]
    assert found.training == pytest.approx(10 * seeds * steps["smoke"] / steps["laptop"])
    assert (found.measuring, found.borrowed) == (10 * seeds, ("laptop",))
    # Its own times come first, and a mistake in another suite is none of this one's.
    write(Path("reports/smoke/results.csv"), ["cell,device,metric,value", "moons-maf,cpu,train_seconds,3"])
    edit(Path("suites/laptop.yaml"), "about:", "abuot:")
    assert plan.plan(smoke, params, ["moons-maf"])["moons-maf"] == Work(tuple(BOTH), 3.0 * seeds, None)


def test_many_stale_cells_are_told_in_groups(monkeypatch):
    run("expand", "toy")
    monkeypatch.setattr(plan, "_changed", lambda suite, keys: {suite.stage("evaluate", key) for key in keys})
    toy = suites.load("toy", config.load())
    keys = list(toy.cells)
    short, full = run("estimate", "toy").output.splitlines(), run("estimate", "toy", "--cells").output.splitlines()
    assert [line.split()[0] for line in full[:-1]] == keys
    assert {line.split()[0] for line in short[:-1]} in (
        {cell.data for cell in toy.cells.values()},
        {cell.flow for cell in toy.cells.values()},
    )
    assert sum(int(line.split()[1]) for line in short[:-1]) == len(keys)
    assert short[-1] == full[-1]
    assert list(json.loads(run("estimate", "toy", "--json").output)["stale"]) == keys


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
