"""Cells can be run on a machine that has torch but neither DVC nor MLflow, and be taken over here."""

import shutil

import pytest

from flowbench import tracking
from flowbench.config import ConfigError
from stages import publish, report
from tests.pipeline.clone import PIPELINE, PUBLISH, Clone

CELL = "digits-glow-multi-scale"
STAGES = [f"{PIPELINE}:train@{CELL}", f"{PIPELINE}:evaluate@{CELL}"]


@pytest.mark.slow
def test_results_of_a_machine_without_dvc_are_taken_over(copy, tmp_path):
    there = Clone(tmp_path / "there")
    for name in ("params.yaml", "suites", "flowbench", "stages", "code", "data"):
        source, target = copy.root / name, there.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target, symlinks=True) if source.is_dir() else shutil.copy2(source, target)
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for package in ("dvc", "mlflow", "grimp", "pandas", "pyarrow", "jinja2", "torchvision"):
        (lacking / f"{package}.py").write_text("raise ImportError('this machine does not have it')\n", encoding="utf-8")
    for stage in ("train", "evaluate"):
        there.stage(stage, "smoke", CELL, env={"PYTHONPATH": str(lacking)})

    folder = f"results/smoke/{CELL}"
    timings = ("train_timings.json", "timings.json")
    before = copy.files(folder, but=timings)
    shutil.rmtree(copy.root / folder)
    shutil.copytree(there.root / folder, copy.root / folder)
    assert copy.files(folder, but=timings) == before
    copy.dvc("commit", "--force", *STAGES)
    assert copy.changed() == set()
    assert copy.ran(copy.repro()) == [PUBLISH, "report"]


@pytest.mark.slow
def test_a_suite_that_has_been_run_in_part_has_a_report(copy, monkeypatch):
    monkeypatch.setattr(tracking.store, "ROOT", copy.root)
    shutil.rmtree(copy.root / "results" / "smoke" / CELL)
    with copy.here():
        with pytest.raises(ConfigError, match=rf"^results/smoke/{CELL}/trained/training\.json: is missing; "):
            publish.main("smoke")
        publish.main("smoke", partial=True)
        report.main("smoke")
    assert {row["cell"] for row in copy.results()} == copy.suite.cells.keys() - {CELL}
    page = (copy.root / "reports" / "smoke" / "README.md").read_text(encoding="utf-8")
    assert CELL in page, "what is missing is said"
