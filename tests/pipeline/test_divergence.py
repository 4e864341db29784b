"""A diverged seed is a result, and the grid goes on."""

import json

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
