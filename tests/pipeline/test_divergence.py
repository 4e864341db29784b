"""A seed that diverges, or whose equation cannot be solved, is a result, and the grid goes on."""

import json
import re
from html import unescape

import pytest

from tests.pipeline.clone import PUBLISH

pytestmark = pytest.mark.slow

ABSURD = """\
  absurd:
    train: {steps: 20, batch_size: 64, learning_rate: 1.0}
    evaluate: {}
"""
# Steps of size one in so many layers overflow at once, whatever the seed.
DEEPER = (
    "plane: {layers: 5, hidden: [64, 64]}\n    # The last map",
    "plane: {layers: 40, hidden: [64, 64]}\n    # The last map",
)
NICE = "  nice:\n    table: {layers: 8, hidden: [128, 128]}\n    plane: {layers: 9,"
# What no solver can do: what is edited to ask for it, and what is then said.
UNSOLVABLE = {
    "moons-cnf": (
        ("plane: {hidden: [64, 64, 64], tolerance: 3e-5}", "plane: {hidden: [64, 64, 64], tolerance: 0}"),
        "flows.cnf.plane, budgets.smoke-without-pictures.train: tolerance = 0 cannot be reached; raise it",
    ),
    "moons-flow_matching-ot": (
        (
            "coupled_at_once: 128, hidden: [64, 64, 64]}",
            "coupled_at_once: 128, hidden: [64, 64, 64], max_evaluations: 5}",
        ),
        "flows.flow_matching.plane-ot, budgets.smoke-without-pictures.train: the solver needs more than "
        "max_evaluations = 5",
    ),
}
LOST, STUDENT = "moons-maf", "moons-iaf_distilled"


def test_what_diverges_or_cannot_be_solved_or_has_no_teacher_is_recorded_and_reported(copy):
    copy.edit("params.yaml", "  smoke:\n    train:", f"{ABSURD}  smoke:\n    train:")
    copy.edit("params.yaml", *DEEPER)
    copy.edit("suites/smoke.yaml", "      smoke: [maf]", "      absurd: [maf]")
    for edit, _ in UNSOLVABLE.values():
        copy.edit("params.yaml", *edit)
    copy.flowbench("expand", "smoke")
    output = copy.repro()
    stages = copy.stages_of([LOST, STUDENT, *UNSOLVABLE])
    assert set(copy.ran(output)) == stages | {"code", PUBLISH, "report"}

    metrics = copy.metrics(LOST)
    assert metrics == {"status": "diverged", "seeds": 2, "diverged": 2, "failed": 0}
    path = copy.root / "results" / "smoke" / LOST / "trained" / "training.json"
    seeds = json.loads(path.read_text(encoding="utf-8"))["seeds"]
    assert {seed: record["status"] for seed, record in seeds.items()} == {"0": "diverged", "1": "diverged"}
    assert f"{LOST} seed 0: diverged at step" in output
    teacher = f"suites/smoke.yaml: {STUDENT}: teacher = '{LOST}': seed 0 of it has diverged"
    reasons = {STUDENT: teacher, **{cell: f"params.yaml: {reason}" for cell, (_, reason) in UNSOLVABLE.items()}}
    for cell, reason in reasons.items():
        assert copy.metrics(cell)["status"] == "failed"
        assert f"{cell} seed 0: failed; {reason}" in output

    assert {row["cell"] for row in copy.results()} == set(copy.suite.cells)
    for name in ("README.md", "index.html"):
        page = unescape((copy.root / "reports" / "smoke" / name).read_text(encoding="utf-8"))
        assert re.search(r"2 of 2\b.*\bdiverged", page)
        assert re.search(r"2 of 2\b.*\bfailed", page)
        assert "budgets.absurd.train.learning_rate" in page
        assert teacher in page
        assert [reason for _, reason in UNSOLVABLE.values() if reason.partition(": ")[2] not in page] == []


def test_keep_going_goes_on_after_a_stage_that_breaks(copy):
    before = (copy.root / "reports" / "smoke" / "README.md").read_bytes()
    copy.edit("flowbench/flows/maf.py", "    maps: list[FlowModule] = []", "    raise RuntimeError")
    copy.edit("params.yaml", "  nice:\n    table: {layers: 8, hidden: [128, 128]}\n    plane: {layers: 8,", NICE)
    output = copy.dvc("repro", "suites/smoke/dvc.yaml", "--keep-going", succeeds=False)
    ran = set(copy.ran(output))
    assert copy.stages_of(["moons-nice"]) <= ran
    assert f"train@{LOST}" in ran
    assert not {f"evaluate@{LOST}", "report", *copy.stages_of([STUDENT])} & ran
    assert (copy.root / "reports" / "smoke" / "README.md").read_bytes() == before
