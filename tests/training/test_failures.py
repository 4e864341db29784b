"""A solver that gives up ends its seed with a reason, and not the grid."""

import json
from pathlib import Path

import pytest
import torch

from flowbench import config, data
from flowbench.config import Params
from flowbench.core import FlowModule
from flowbench.evaluation.cell import CellEvaluation
from flowbench.layers.continuous import ContinuousFlow
from flowbench.networks.field import PerceptronField
from flowbench.training.cell import CellTraining

TEXT = """\
data:
  normal_to_moons: {{train: 300, validation: 100, test: 200}}
flows:
  cnf:
    plane: {{hidden: [8], tolerance: {tolerance}, max_evaluations: {most}}}
budgets:
  tiny:
    train: {{steps: 3, batch_size: 20, seeds: [0, 1], device: cpu}}
    evaluate: {{samples: 50, invertibility_points: 10, logdet_points: 2, grid: 10, throughput_seconds: 0.001}}
suites:
  tiny: &tiny
    name: tiny
    about: one cell
    data: [normal_to_moons]
    cells:
      normal_to_moons-cnf: {{data: normal_to_moons, flow: cnf, config: plane, budget: tiny}}
    students: {{}}
active: *tiny
"""
KEY = "normal_to_moons-cnf"


def prepare(root: Path, most: int = 2000, tolerance: str = "1e-3") -> Params:
    (root / "params.yaml").write_text(TEXT.format(most=most, tolerance=tolerance), encoding="utf-8")
    params = config.load(root / "params.yaml")
    data.save(data.load("normal_to_moons", **params.data["normal_to_moons"]), root / "data" / "normal_to_moons")
    return params


def records(root: Path) -> dict:
    return json.loads((root / "results" / KEY / "training.json").read_text(encoding="utf-8"))["seeds"]


def metrics(root: Path) -> dict:
    return json.loads((root / "results" / KEY / "metrics.json").read_text(encoding="utf-8"))


def test_a_solver_without_enough_evaluations_fails_its_seeds_and_names_the_option(tmp_path, capfd):
    params = prepare(tmp_path, most=5)
    CellTraining(params, KEY, tmp_path).run()
    for record in records(tmp_path).values():
        assert record["status"] == "failed"
        assert record["reason"].startswith(
            "params.yaml: flows.cnf.plane, budgets.tiny.train: the solver needs more than max_evaluations = 5"
        )
    assert (
        "normal_to_moons-cnf seed 0: failed; params.yaml: flows.cnf.plane, budgets.tiny.train: "
        in capfd.readouterr().err
    )
    CellEvaluation(params, KEY, tmp_path).run()
    assert metrics(tmp_path) == {"status": "failed", "seeds": 2, "diverged": 0, "failed": 2}


def test_a_tolerance_of_zero_fails_the_seeds_and_names_cell_and_option(tmp_path, capfd):
    params = prepare(tmp_path, tolerance="0")
    CellTraining(params, KEY, tmp_path).run()
    reason = "params.yaml: flows.cnf.plane, budgets.tiny.train: tolerance = 0 cannot be reached; raise it"
    assert {record["status"]: record["reason"] for record in records(tmp_path).values()} == {"failed": reason}
    assert f"{KEY} seed 1: failed; {reason}" in capfd.readouterr().err


class Brittle(PerceptronField):
    """Fails after so many calls."""

    calls = 0

    def quadratic_forms(self, t, x, directions):
        Brittle.calls += 1
        velocity, forms = super().quadratic_forms(t, x, directions)
        return (velocity * torch.nan if Brittle.calls > 60 else velocity), forms


def test_a_field_that_stops_being_finite_fails_while_training(tmp_path, monkeypatch):
    monkeypatch.setattr("flowbench.flows.cnf.PerceptronField", Brittle)
    params = prepare(tmp_path)
    CellTraining(params, KEY, tmp_path).run()
    assert {record["status"] for record in records(tmp_path).values()} == {"failed"}
    assert (
        "budgets.tiny.train: the vector field is not finite; lower the budget's learning_rate"
        in records(tmp_path)["0"]["reason"]
    )


@pytest.fixture
def trained(tmp_path) -> tuple[Params, Path]:
    params = prepare(tmp_path)
    CellTraining(params, KEY, tmp_path).run()
    return params, tmp_path


def test_what_cannot_be_measured_is_named_and_the_rest_is_kept(trained, monkeypatch, capfd):
    params, root = trained
    solve = ContinuousFlow.solve

    def fail_in_double(self, x, start, end):
        if x.dtype == torch.float64:
            self.max_evaluations = 3
        return solve(self, x, start, end)

    monkeypatch.setattr(ContinuousFlow, "solve", fail_in_double)
    CellEvaluation(params, KEY, root).run()
    found = metrics(root)
    assert found["status"] == "measured in part"
    assert found["not_measured"].keys() == {"0", "1"}
    reason = found["not_measured"]["0"]
    assert "flows.cnf.plane: the solver needs more than max_evaluations = 3" in reason
    assert "raise one of them (consistency, logdet); " in reason
    assert reason.endswith("tolerance = 0.0001; raise one of them (solver)")
    assert not {"logdet_error_max", "bits_per_dim_solver_error"} & found.keys()
    assert {"bits_per_dim", "invertibility_error_max_float64", "energy_distance", "density_mass"} <= found.keys()
    assert "measured in part" in capfd.readouterr().err


def test_a_flow_of_one_direction_is_measured_in_that(trained, monkeypatch):
    params, root = trained
    monkeypatch.setattr(ContinuousFlow, "decode", FlowModule.decode)
    CellEvaluation(params, KEY, root).run()
    found = metrics(root)
    assert "flows.cnf.plane: ContinuousFlow has no decode (invertibility, stress, " in found["not_measured"]["0"]
    assert {"bits_per_dim", "density_mass"} <= found.keys()
    assert not {"invertibility_error_max", "logdet_error_max"} & found.keys()
