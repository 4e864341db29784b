"""Cells can be run on a machine that has torch but neither DVC nor MLflow, and be taken over here."""

import shutil
import sys

from tests.pipeline.clone import Clone

CELL = "smoke-digits-glow-multi-scale"
STAGES = [f"train@{CELL}", f"evaluate@{CELL}"]


def test_results_of_a_machine_without_dvc_are_taken_over(copy, tmp_path):
    there = Clone(tmp_path / "there")
    for name in ("params.yaml", "flowbench", "stages", "code", "data"):
        source, target = copy.root / name, there.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    lacking = tmp_path / "lacking"
    lacking.mkdir()
    for package in ("dvc", "mlflow", "grimp", "pandas", "pyarrow", "jinja2", "torchvision"):
        (lacking / f"{package}.py").write_text("raise ImportError('this machine does not have it')\n", encoding="utf-8")
    for stage in ("train", "evaluate"):
        there.run(sys.executable, "-m", f"stages.{stage}", CELL, env={"PYTHONPATH": str(lacking)})

    steady = (f"results/{CELL}",)
    timings = ("train_timings.json", "timings.json")
    before = copy.files(*steady, but=timings)
    shutil.rmtree(copy.root / "results" / CELL)
    shutil.copytree(there.root / "results" / CELL, copy.root / "results" / CELL)
    assert copy.files(*steady, but=timings) == before
    copy.dvc("commit", "--force", *STAGES)
    assert copy.changed() == set()
    assert copy.ran(copy.dvc("repro")) == ["publish@smoke", "report@smoke"]


def test_a_suite_that_has_been_run_in_part_has_a_report(copy):
    shutil.rmtree(copy.root / "results" / CELL)
    assert f"results/{CELL}/training.json: is missing" in copy.run(
        sys.executable, "-m", "stages.publish", "smoke", succeeds=False
    )
    for command in (["stages.publish", "smoke", "--partial"], ["stages.report", "smoke"]):
        copy.run(sys.executable, "-m", *command)
    assert {row["cell"] for row in copy.results()} == copy.cells.keys() - {CELL}
    assert f"Not run yet:** {CELL}." in (copy.root / "reports" / "smoke" / "README.md").read_text(encoding="utf-8")
