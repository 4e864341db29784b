"""What a Python program may use: `flowbench.load`, `results`, `build`, `fit`, `certify` and `score`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import flowbench
from flowbench import flows
from flowbench.api import FitError
from flowbench.config import ConfigError
from flowbench.core import FittedModel, FlowModel, FlowModule
from flowbench.metrics import METRICS
from flowbench.records.evaluation import Evaluation
from tests import tiny_cells

OPTIONS = {"layers": 2, "hidden": [8]}


def mixed(n, dims=3, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, dims)) @ np.random.default_rng(7).normal(size=(dims, dims)) + 2).astype(np.float32)


@pytest.fixture
def root(tiny, monkeypatch):
    tiny.measured(tiny_cells.VECTORS)
    monkeypatch.chdir(tiny.root)
    return tiny.root


def test_an_import_loads_no_library():
    """`import flowbench` takes a hundredth of a second, and its names are there all the same."""
    code = (
        "import sys, time; start = time.perf_counter(); import flowbench; took = time.perf_counter() - start\n"
        "heavy = {'torch', 'numpy', 'pandas', 'mlflow', 'pydantic'} & set(sys.modules)\n"
        "print(took < 0.2, sorted(heavy), callable(flowbench.load))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split("\n")[0] == "True [] True"


def test_all_names_are_there_and_no_others():
    assert all(callable(getattr(flowbench, name)) for name in flowbench.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        _ = flowbench.lode


def test_a_cell_is_loaded_as_it_was_measured(root):
    """The likelihood of each test example is the one on record."""
    flow = flowbench.load(tiny_cells.VECTORS, suite="tiny", seed=1)
    test = np.load(root / "data" / "gaussian" / "test.npy")
    on_record = Evaluation.load(root / "results" / "tiny" / tiny_cells.VECTORS).log_prob[1]
    np.testing.assert_allclose(flow.log_prob(test).numpy(), on_record, rtol=1e-6)
    assert flow.sample(7).shape == (7, 2)
    assert not flow.training
    assert not any(parameter.requires_grad for parameter in flow.parameters())


def test_the_seed_that_validated_best_is_loaded(tiny, root):
    from flowbench.records.training import Training

    training = Training.load(root / "results" / "tiny" / tiny_cells.VECTORS)
    best = min(training.finished, key=lambda seed: training.seeds[seed].best_validation_loss)
    chosen, named = (flowbench.load(tiny_cells.VECTORS, suite="tiny", seed=seed) for seed in (None, best))
    assert all(torch.equal(one, other) for one, other in zip(chosen.parameters(), named.parameters(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "gaussian-afine", "suite": "tiny"}, "no such cell in results/tiny; did you mean 'gaussian-affine'"),
        ({"cell": "gaussian-affine"}, "results/laptop: there are no results here; make them with `dvc repro`"),
        (
            {"cell": tiny_cells.VECTORS, "suite": "tiny", "seed": 9},
            "seed 9 was not trained to the end; choose from 0, 1",
        ),
        ({"cell": "data"}, "data: holds neither flow.json of an export nor trained/training.json of a cell"),
    ],
)
def test_a_wrong_cell_is_one_line(root, arguments, message):
    with pytest.raises(ConfigError, match=message):
        flowbench.load(**arguments)


def test_results_are_the_rows_of_the_report(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    found = flowbench.results("laptop")
    assert {"cell", "data", "flow", "seed", "metric", "value", "unit", "n"} <= set(found)
    assert set(found["metric"]) <= {*METRICS, "diverged_at", "failed_at"}
    with pytest.raises(ConfigError, match="no such report; did you mean 'laptop'"):
        flowbench.results("labtop")


def test_no_report_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="reports: there are no reports here"):
        flowbench.results()


@pytest.mark.parametrize("name", ["maf", "realnvp", "nice", "gaussian"])
def test_a_flow_of_any_dimension_is_fitted_certified_and_scored(name):
    flow = flowbench.build(name, dims=3, **({} if name == "gaussian" else {"layers": 4, "hidden": [32]}))
    x, test = mixed(1000), mixed(500, seed=1)
    before = None if isinstance(flow, FittedModel) else flowbench.score(flow, test, samples=100)
    history = flowbench.fit(flow, x[:800], x[800:], steps=400, learning_rate=5e-3, validate_every=100)
    values = flowbench.score(flow, test, samples=100)
    assert set(values) <= set(METRICS)
    # What a Gaussian of the same covariance has, by its formula; a fit of 1,000 points comes near it.
    truth = np.linalg.slogdet(np.cov(mixed(100_000).T))[1] / 2 + 3 * np.log(2 * np.pi * np.e) / 2
    assert abs(values["nll_nats"] - truth) < 0.4
    if before is None:
        assert history.empty
        with pytest.raises(ConfigError, match="a baseline has no map"):
            flowbench.certify(flow)
        return
    assert values["nll_nats"] < before["nll_nats"] - 1
    assert list(history) == ["step", "loss", "validation_loss", "learning_rate"]
    assert history["validation_loss"].count() == 4
    assert flowbench.certify(flow).passes
    assert flowbench.certify(flow, test).round_trip_error < 1e-8
    assert values["invertibility_error_max_float64"] < 1e-8


def test_a_fit_is_the_same_each_time():
    x = mixed(300)

    def fitted():
        flow = flowbench.build("maf", dims=3, seed=4, **OPTIONS)
        flowbench.fit(flow, torch.tensor(x[:200]), x[200:], steps=20, seed=2)
        return flow.log_prob(x)

    assert torch.equal(fitted(), fitted())


def test_images_are_built_by_their_shape():
    flow = flowbench.build("realnvp", shape=(1, 4, 4), levels=17, logit=0.05, **OPTIONS)
    x = np.random.default_rng(0).integers(0, 17, size=(300, 1, 4, 4)).astype(np.uint8)
    flowbench.fit(flow, x[:200], x[200:], steps=5)
    assert flowbench.score(flow, x[200:], samples=50, invertibility_points=20)["bits_per_dim"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flow": "mafh", "dims": 2}, "'mafh': no such flow; did you mean 'maf'"),
        ({"flow": "maf"}, "say dims, such as dims=6, or shape"),
        ({"flow": "maf", "dims": 2, "shape": (2,)}, "say dims, such as dims=6, or shape"),
        ({"flow": "maf", "dims": 0, **OPTIONS}, "must have at least one number"),
        ({"flow": "maf", "dims": 2, "layer": 3, "hidden": [3]}, "'layer': no such key; did you mean 'layers'"),
        ({"flow": "glow", "dims": 2, "steps": -1, "hidden": [3]}, "steps = -1"),
    ],
)
def test_a_wrong_flow_is_one_line(arguments, message):
    with pytest.raises(ConfigError, match=message):
        flowbench.build(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "flowbench.fit: steps = 0"),
        ({"learning_rat": 1e-3}, "did you mean 'learning_rate'"),
        ({"x_train": np.zeros((0, 3))}, "x_train: holds no example"),
        ({"x_validation": np.full((5, 3), np.nan)}, "x_validation: holds values that are not finite"),
        ({"x_train": np.zeros((5, 4))}, r"expected events of shape \(3,\), got \(4,\)"),
    ],
)
def test_a_wrong_fit_is_one_line(change, message):
    arguments = {"x_train": mixed(50), "x_validation": mixed(20)} | change
    with pytest.raises(ValueError, match=message):
        flowbench.fit(flowbench.build("maf", dims=3, **OPTIONS), **arguments)


def test_a_divergence_names_its_step():
    flow = flowbench.build("maf", dims=3, standardise=False, **OPTIONS)
    with pytest.raises(FitError, match=r"diverged at step \d+; try a smaller learning_rate"):
        flowbench.fit(flow, 1e20 * mixed(100), 1e20 * mixed(50), steps=50)


class WrongSign(FlowModule):
    """x + 1 in one direction, with a log-determinant that is not zero."""

    def encode(self, x):
        return 2 * x, -torch.full((len(x),), x.shape[1] * np.log(2.0), dtype=x.dtype)

    def decode(self, z):
        return z / 2, torch.full((len(z),), z.shape[1] * np.log(2.0), dtype=z.dtype)


class Raises(WrongSign):
    def decode(self, z):
        raise RuntimeError("there is no way back")


@pytest.mark.parametrize(
    ("transform", "fault"), [(WrongSign(), "encode's log-determinant: expected"), (Raises(), "there is no way back")]
)
def test_a_wrong_map_is_not_certified(transform, fault):
    good = flowbench.build("maf", dims=2, **OPTIONS)
    found = flowbench.certify(FlowModel(transform, good.prior), np.zeros((3, 2)))
    assert not found.passes
    assert fault in " ".join(found.faults)


def test_a_solved_flow_is_certified():
    flow = flowbench.build("cnf", dims=2, hidden=[8])
    assert flowbench.certify(flow, points=2).passes


def test_what_has_no_solution_is_left_out(monkeypatch):
    from flowbench.core import SolverError

    def refuses(*arguments):
        raise SolverError("too many steps")

    monkeypatch.setattr("flowbench.evaluation.invertibility.invertibility", refuses)
    values = flowbench.score(flowbench.build("maf", dims=3, **OPTIONS), mixed(50), samples=20)
    assert "bits_per_dim" in values
    assert "invertibility_error_max" not in values


def test_a_score_in_units_does_not_depend_on_those_of_the_data():
    """Samples of data in other units have the same distances in these units, and errors are divided by them."""
    unit = np.array([2.0, 64.0, 0.125], np.float32)

    def scored(scale, **options):
        flow = flowbench.build("maf", dims=3, **OPTIONS)
        flow.initialise(torch.from_numpy(mixed(500) * scale))
        return flowbench.score(flow.eval(), mixed(300, seed=1) * scale, samples=300, **options)

    plain, converted, raw = scored(np.float32(1)), scored(unit, unit=unit), scored(unit)
    for name in ("energy_distance", "sliced_wasserstein"):
        assert converted[name] == pytest.approx(plain[name], rel=1e-3, abs=0), name
        assert raw[name] != pytest.approx(plain[name], rel=0.1, abs=0), name
    # A density is in the units of the data.
    assert converted["nll_nats"] == pytest.approx(plain["nll_nats"] + np.log(unit).sum(), abs=1e-3)
    assert converted["bits_per_dim"] == raw["bits_per_dim"]
    halved = scored(np.float32(1), unit=np.full(3, 2.0))
    for name in ("invertibility_error_max", "invertibility_error_max_float64", "energy_distance"):
        assert halved[name] == plain[name] / 2 > 0, name
    assert halved["latent_invertibility_error_max"] == plain["latent_invertibility_error_max"]


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (np.ones(2), r"unit: expected the shape of an event, \(3,\), got \(2,\)"),
        (np.array([1.0, 0.0, 1.0]), "unit: must be positive and finite"),
        (np.array([1.0, np.nan, 1.0]), "unit: must be positive and finite"),
    ],
)
def test_a_wrong_unit_is_one_line(unit, message):
    with pytest.raises(ConfigError, match=message):
        flowbench.score(flowbench.build("maf", dims=3, **OPTIONS), mixed(50), unit=unit)


def test_every_flow_is_named_for_build():
    with pytest.raises(ConfigError, match="no such flow"):
        flowbench.build("x", dims=2)
    assert "maf" in flows.names()
