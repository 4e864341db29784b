"""A seed that diverges, or whose equation cannot be solved, is a result, and the grid goes on."""

import json
import re
from html import unescape

ABSURD = """\
  absurd:
    train: {steps: 20, batch_size: 64, seeds: [0, 1], learning_rate: 1.0}
    evaluate: {}
"""
# Steps of size one in so many layers overflow at once, whatever the seed.
DEEPER = ("  maf:\n    plane: {layers: 5,", "  maf:\n    plane: {layers: 40,")
# What no solver can do: what is edited to ask for it, and what is then said.
UNSOLVABLE = {
    "smoke-moons-cnf": (
        ("plane: {hidden: [64, 64, 64], tolerance: 3e-5}", "plane: {hidden: [64, 64, 64], tolerance: 0}"),
        "flows.cnf.plane, budgets.smoke.train: tolerance = 0 cannot be reached; raise it",
    ),
    "smoke-moons-flow_matching-ot": (
        (
            "coupled_at_once: 128, hidden: [64, 64, 64]}",
            "coupled_at_once: 128, hidden: [64, 64, 64], max_evaluations: 5}",
        ),
        "flows.flow_matching.ot, budgets.smoke.train: the solver needs more than max_evaluations = 5",
    ),
}
LOST, STUDENT = "smoke-moons-maf", "smoke-moons-iaf_distilled"


def test_what_diverges_or_cannot_be_solved_or_has_no_teacher_is_recorded_and_reported(copy):
    copy.edit("params.yaml", "  smoke:\n    train:", f"{ABSURD}  smoke:\n    train:")
    copy.edit("params.yaml", *DEEPER)
    (line,) = re.findall(rf"{LOST}: {{.*}}", (copy.root / "params.yaml").read_text(encoding="utf-8"))
    copy.edit("params.yaml", line, line.replace("budget: smoke", "budget: absurd"))
    for edit, _ in UNSOLVABLE.values():
        copy.edit("params.yaml", *edit)
    output = copy.dvc("repro")
    stages = copy.stages_of([LOST, STUDENT, *UNSOLVABLE])
    assert set(copy.ran(output)) == stages | {"code", "publish@smoke", "report@smoke"}

    folder = copy.root / "results" / LOST
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics == {"status": "diverged", "seeds": 2, "diverged": 2, "failed": 0}
    seeds = json.loads((folder / "training.json").read_text(encoding="utf-8"))["seeds"]
    assert {seed: record["status"] for seed, record in seeds.items()} == {"0": "diverged", "1": "diverged"}
    assert f"{LOST} seed 0: diverged at step" in output
    teacher = f"suites.smoke.students.{STUDENT}.teacher = '{LOST}': seed 0 of it has diverged"
    reasons = {STUDENT: teacher, **{cell: reason for cell, (_, reason) in UNSOLVABLE.items()}}
    for cell, reason in reasons.items():
        assert (
            json.loads((copy.root / "results" / cell / "metrics.json").read_text(encoding="utf-8"))["status"]
            == "failed"
        )
        assert f"{cell} seed 0: failed; params.yaml: {reason}" in output

    rows = copy.results()
    assert {row["cell"] for row in rows} == set(copy.cells)
    told = [(row["cell"], row["seed"]) for row in rows if row["metric"] == "diverged_at"]
    assert sorted(told) == [(LOST, "0"), (LOST, "1")]
    for name in ("README.md", "index.html"):
        page = unescape((copy.root / "reports" / "smoke" / name).read_text(encoding="utf-8"))
        assert "2 of 2 diverged" in page
        assert page.count("2 of 2 failed") >= len(reasons)
        assert "budgets.absurd.train.learning_rate" in page
        assert teacher in page
        assert [reason for _, reason in UNSOLVABLE.values() if reason.partition(": ")[2] not in page] == []


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
