"""A seed that diverges, or whose equation cannot be solved, is a result, and the grid goes on."""

import json

import pytest

ABSURD = """\
  absurd:
    train: {steps: 20, batch_size: 64, seeds: [0, 1], learning_rate: 1.0}
    evaluate: {}
"""
NICE = "smoke-moons-nice: {data: moons, flow: nice, config: plane, budget: smoke}"


def test_diverged_seeds_are_recorded_and_reported(copy):
    # Steps of size one in so many layers overflow at once, whatever the seed.
    copy.edit("params.yaml", "  nice:\n    plane: {layers: 8,", "  nice:\n    plane: {layers: 64,")
    copy.edit("params.yaml", "  smoke:\n    train:", f"{ABSURD}  smoke:\n    train:")
    copy.edit("params.yaml", NICE, NICE.replace("budget: smoke", "budget: absurd"))
    ran = copy.ran(copy.dvc("repro"))
    assert ran == ["code", "train@smoke-moons-nice", "evaluate@smoke-moons-nice", "publish@smoke", "report@smoke"]

    folder = copy.root / "results" / "smoke-moons-nice"
    assert json.loads((folder / "metrics.json").read_text()) == {
        "status": "diverged",
        "seeds": 2,
        "diverged": 2,
        "failed": 0,
    }
    seeds = json.loads((folder / "training.json").read_text())["seeds"]
    assert {seed: record["status"] for seed, record in seeds.items()} == {"0": "diverged", "1": "diverged"}
    rows = copy.results()
    assert {row["cell"] for row in rows} == set(copy.cells)
    lost = [(row["cell"], row["seed"]) for row in rows if row["metric"] == "diverged_at"]
    assert lost == [("smoke-moons-nice", "0"), ("smoke-moons-nice", "1")]
    for page in ("README.md", "index.html"):
        assert "2 of 2 diverged" in (copy.root / "reports" / "smoke" / page).read_text()


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
