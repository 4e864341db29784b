"""A seed that diverges, or whose equation cannot be solved, is a result, and the grid goes on."""

import json
import re
from html import unescape

import pytest

ABSURD = """\
  absurd:
    train: {steps: 20, batch_size: 64, seeds: [0, 1], learning_rate: 1.0}
    evaluate: {}
"""
# Steps of size one in so many layers overflow at once, whatever the seed.
DEEPER = {
    "smoke-moons-nice": ("  nice:\n    plane: {layers: 8,", "  nice:\n    plane: {layers: 64,"),
    "smoke-moons-maf": ("  maf:\n    plane: {layers: 5,", "  maf:\n    plane: {layers: 40,"),
    "smoke-moons-flow_matching-ot": (
        "coupled_at_once: 128, hidden: [64, 64, 64]}",
        f"coupled_at_once: 128, hidden: [{', '.join(24 * ['64'])}]}}",
    ),
}
STUDENT = "smoke-moons-iaf_distilled"


def test_diverged_seeds_and_students_of_lost_teachers_are_recorded_and_reported(copy):
    copy.edit("params.yaml", "  smoke:\n    train:", f"{ABSURD}  smoke:\n    train:")
    for cell, (old, new) in DEEPER.items():
        copy.edit("params.yaml", old, new)
        (line,) = re.findall(rf"{cell}: {{.*}}", (copy.root / "params.yaml").read_text())
        copy.edit("params.yaml", line, line.replace("budget: smoke", "budget: absurd"))
    output = copy.dvc("repro")
    assert set(copy.ran(output)) == copy.stages_of([*DEEPER, STUDENT]) | {"code", "publish@smoke", "report@smoke"}

    lost = {"0": "diverged", "1": "diverged"}
    for cell in DEEPER:
        folder = copy.root / "results" / cell
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics == {"status": "diverged", "seeds": 2, "diverged": 2, "failed": 0}
        seeds = json.loads((folder / "training.json").read_text())["seeds"]
        assert {seed: record["status"] for seed, record in seeds.items()} == lost
        assert f"{cell} seed 0: diverged at step" in output
    reason = f"suites.smoke.students.{STUDENT}.teacher = 'smoke-moons-maf': seed 0 of it has diverged"
    assert f"{STUDENT} seed 0: failed; params.yaml: {reason}" in output

    rows = copy.results()
    assert {row["cell"] for row in rows} == set(copy.cells)
    told = [(row["cell"], row["seed"]) for row in rows if row["metric"] == "diverged_at"]
    assert sorted(told) == sorted((cell, seed) for cell in DEEPER for seed in lost)
    for name in ("README.md", "index.html"):
        page = unescape((copy.root / "reports" / "smoke" / name).read_text())
        assert page.count("2 of 2 diverged") >= len(DEEPER)
        assert "budgets.absurd.train.learning_rate" in page
        assert reason in page


def test_keep_going_goes_on_after_a_stage_that_breaks(copy):
    before = (copy.root / "reports" / "smoke" / "README.md").read_bytes()
    copy.edit("flowbench/flows/maf.py", "    maps: list[FlowModule] = []", "    raise RuntimeError")
    copy.edit("params.yaml", "  nice:\n    plane: {layers: 8,", "  nice:\n    plane: {layers: 9,")
    output = copy.dvc("repro", "--keep-going", succeeds=False)
    nice = copy.stages_of(["smoke-moons-nice"])
    assert nice <= set(copy.ran(output))
    assert "train@smoke-moons-maf" in copy.ran(output)
    assert not {"evaluate@smoke-moons-maf", "report@smoke", *copy.stages_of([STUDENT])} & set(copy.ran(output))
    assert (copy.root / "reports" / "smoke" / "README.md").read_bytes() == before


@pytest.mark.parametrize(
    ("cell", "old", "new", "reason"),
    [
        (
            "smoke-moons-cnf",
            "plane: {hidden: [64, 64, 64], tolerance: 3e-5}",
            "plane: {hidden: [64, 64, 64], tolerance: 0}",
            "flows.cnf.plane, budgets.smoke.train: tolerance = 0 cannot be reached; raise it",
        ),
        (
            "smoke-moons-flow_matching-ot",
            "coupled_at_once: 128, hidden: [64, 64, 64]}",
            "coupled_at_once: 128, hidden: [64, 64, 64], max_evaluations: 5}",
            "flows.flow_matching.ot, budgets.smoke.train: the solver needs more than max_evaluations = 5",
        ),
    ],
)
def test_what_no_solver_can_do_is_recorded_and_reported(copy, cell, old, new, reason):
    copy.edit("params.yaml", old, new)
    output = copy.dvc("repro")
    assert copy.ran(output) == ["code", f"train@{cell}", f"evaluate@{cell}", "publish@smoke", "report@smoke"]
    assert f"{cell} seed 0: failed; params.yaml: {reason}" in output
    folder = copy.root / "results" / cell
    assert json.loads((folder / "metrics.json").read_text())["status"] == "failed"
    assert {row["cell"] for row in copy.results()} == set(copy.cells)
    page = (copy.root / "reports" / "smoke" / "README.md").read_text()
    assert "2 of 2 failed" in page
    assert reason.partition(": ")[2] in page
