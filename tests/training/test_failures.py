"""A solver that gives up ends its seed with a reason, and not the grid."""

import json
from pathlib import Path

import pytest
import torch

from flowbench.core import FlowModule, SolverError
from flowbench.evaluation.cell import CellEvaluation
from flowbench.flows._continuous import ContinuousModel
from flowbench.layers.continuous import ContinuousFlow
from flowbench.networks.field import PerceptronField
from flowbench.records.evaluation import Evaluation
from flowbench.records.training import SeedTraining, Training
from flowbench.training.cell import CellTraining
from tests import tiny_cells
from tests.tiny_cells import CONTINUOUS

WHERE = "params.yaml: flows.cnf.small"


@pytest.fixture
def root(tiny, tmp_path) -> Path:
    return tiny.copy(tmp_path / "copy")


@pytest.fixture
def trained(tiny, tmp_path) -> Path:
    return tiny.copy(tmp_path / "copy", CONTINUOUS)


@pytest.fixture
def unchecked(monkeypatch) -> None:
    """The check before a training would solve its own equations."""
    monkeypatch.setattr("flowbench.certificates.require_sound", lambda *_: None)


def train(root: Path) -> dict[int, SeedTraining]:
    cell = tiny_cells.resolve(root, CONTINUOUS)
    CellTraining(cell).run()
    return Training.load(cell.folder).seeds


def measure(root: Path) -> dict:
    cell = tiny_cells.resolve(root, CONTINUOUS)
    CellEvaluation(cell).run()
    return json.loads((cell.folder / "metrics.json").read_text(encoding="utf-8"))


def test_a_solver_without_enough_evaluations_fails_its_seeds_and_names_the_option(root, capfd, unchecked):
    tiny_cells.edit(root, "max_evaluations: 2000", "max_evaluations: 5")
    for record in train(root).values():
        assert record.status == "failed"
        assert record.reason.startswith(
            f"{WHERE}, budgets.solver.train: the solver needs more than max_evaluations = 5"
        )
    assert f"{CONTINUOUS} seed 0: failed; {WHERE}, budgets.solver.train: " in capfd.readouterr().err
    assert measure(root) == {"status": "failed", "seeds": 2, "diverged": 0, "failed": 2}


def test_a_tolerance_of_zero_fails_the_seeds_and_names_cell_and_option(root, capfd, unchecked):
    tiny_cells.edit(root, "tolerance: 1e-3", "tolerance: 0")
    reason = f"{WHERE}, budgets.solver.train: tolerance = 0 cannot be reached; raise it"
    assert {record.status: record.reason for record in train(root).values()} == {"failed": reason}
    assert f"{CONTINUOUS} seed 1: failed; {reason}" in capfd.readouterr().err


class Brittle(PerceptronField):
    """Fails after some number of calls."""

    calls = 0

    def quadratic_forms(self, t, x, directions):
        Brittle.calls += 1
        velocity, forms = super().quadratic_forms(t, x, directions)
        return (velocity * torch.nan if Brittle.calls > 20 else velocity), forms


def test_a_field_that_stops_being_finite_fails_while_training(root, monkeypatch, unchecked):
    monkeypatch.setattr(Brittle, "calls", 0)
    monkeypatch.setattr("flowbench.flows.cnf.PerceptronField", Brittle)
    seeds = train(root)
    assert {record.status for record in seeds.values()} == {"failed"}
    expected = "budgets.solver.train: the vector field is not finite; lower the budget's learning_rate"
    assert expected in seeds[0].reason


def test_what_cannot_be_measured_is_named_and_the_rest_is_kept(trained, monkeypatch, capfd):
    solve = ContinuousFlow.solve

    def fail_in_double(self, x, start, end):
        if x.dtype == torch.float64:
            self.max_evaluations = 3
        return solve(self, x, start, end)

    monkeypatch.setattr(ContinuousFlow, "solve", fail_in_double)
    found = measure(trained)
    assert found["status"] == "measured in part"
    assert found["not_measured"].keys() == {"0", "1"}
    reason = found["not_measured"]["0"]
    assert f"{WHERE}: the solver needs more than max_evaluations = 3" in reason
    assert "raise one of them (consistency, logdet); " in reason
    assert reason.endswith("tolerance = 0.0001; raise one of them (solver)")
    assert not {"logdet_error_max", "bits_per_dim_solver_error"} & found.keys()
    assert {"bits_per_dim", "invertibility_error_max_float64", "energy_distance", "density_mass"} <= found.keys()
    assert "measured in part" in capfd.readouterr().err
    assert Evaluation.load(trained / "results" / "tiny" / CONTINUOUS).not_measured[0] == reason


def test_a_flow_of_one_direction_is_measured_in_that(trained, monkeypatch):
    monkeypatch.setattr(ContinuousFlow, "decode", FlowModule.decode)
    found = measure(trained)
    assert f"{WHERE}: ContinuousFlow has no decode (invertibility, stress, " in found["not_measured"]["0"]
    assert {"bits_per_dim", "density_mass"} <= found.keys()
    assert not {"invertibility_error_max", "logdet_error_max"} & found.keys()


def test_a_cell_without_some_of_its_pictures_is_finished(trained, monkeypatch, capfd):
    def refuse(self, tolerance):
        raise SolverError("no solution")

    monkeypatch.setattr(ContinuousModel, "loosely", refuse)  # which pictures alone ask for
    found = measure(trained)
    assert found["status"] == "finished"
    assert "not_measured" not in found
    error = capfd.readouterr().err
    for purpose in ("warp", "density path"):
        assert f"{CONTINUOUS} seed 0: cannot draw {purpose}; {WHERE}: no solution\n" in error
    assert error.count("cannot draw") == 2
    pictures = trained / "results" / "tiny" / CONTINUOUS / "pictures"
    assert {path.stem for path in pictures.iterdir()} == {"density", "training", "training-animation", "transport"}
