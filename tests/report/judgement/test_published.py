import math
from dataclasses import replace

import pytest

from flowbench import data as data_sets
from flowbench.metrics import METRICS
from flowbench.report.judgement import published
from tests.report import made_up

MAF = {"layers": 5, "hidden": [1024, 1024], "logit": 1e-6}
NICE = {"layers": 4, "hidden": 5 * [1000], "interleave": True, "prior": "logistic", "logit": None}
GLOW = {"scales": 3, "steps": 32, "hidden": [512, 512]}
REALNVP = {"architecture": "multi-scale", "scales": 2, "layers": 3, "hidden": 8 * [64], "logit": 0.05}
FLIPS = {"horizontal_flips": True}
TABLES = ["power", "gas", "hepmass", "miniboone", "bsds300"]


@pytest.fixture
def cell(tmp_path):
    """A function that makes up a trained cell."""

    def make(data, flow, options, budget=None, **training):
        key = f"{data}-{flow}"
        by_cell = {"flow": {key: options}, "budget": {key: budget or {}}, "training": {key: training}}
        return made_up.scope(tmp_path, {key: (data, flow)}, 1, **by_cell).cells[0]

    return make


@pytest.mark.parametrize(
    ("data", "flow", "options", "budget", "values"),
    [
        ("mnist", "maf", MAF, {}, [1.89]),
        ("mnist", "maf", MAF | {"layers": 10}, {}, [1.91]),
        ("mnist", "maf", MAF | {"layers": 1}, {}, [2.04]),
        ("mnist", "maf", MAF | {"hidden": [512]}, {}, []),
        ("mnist", "maf", MAF | {"logit": 0.05}, {}, []),
        ("mnist", "iaf", MAF, {}, []),
        ("fashion_mnist", "maf", MAF, {}, []),
        ("mnist", "realnvp", MAF | {"architecture": "vector"}, {}, [1.93]),
        ("mnist", "realnvp", MAF, {}, []),
        ("mnist", "realnvp", REALNVP, {}, []),
        ("mnist", "nice", NICE, {}, [4.36]),
        ("mnist", "nice", NICE | {"prior": "normal"}, {}, []),
        ("mnist", "nice", NICE | {"logit": 0.05}, {}, []),
        ("mnist", "gaussian", {"covariance": "full", "logit": 1e-6}, {}, [2.01]),
        ("mnist", "gaussian", {"covariance": "diagonal", "logit": 1e-6}, {}, []),
        ("mnist", "glow", GLOW, {}, []),
        ("cifar10", "glow", GLOW, {}, [3.35, 3.39]),
        ("cifar10", "glow", GLOW | {"steps": 16}, {}, []),
        ("cifar10", "realnvp", REALNVP, FLIPS, [3.49, 3.51]),
        ("cifar10", "realnvp", REALNVP, {}, []),
        ("cifar10", "maf", MAF | {"logit": 0.05}, FLIPS, []),
        ("cifar10", "gaussian", {"covariance": "full", "logit": 0.05}, FLIPS, []),
    ],
)
def test_a_value_stands_beside_a_cell_of_the_same_settings_only(cell, data, flow, options, budget, values):
    assert [value.value for value in published.beside(cell(data, flow, options, budget))] == values


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"likelihood": "bound"}, "likelihood: bound"),
        ({"likelihood": "estimate"}, "likelihood: estimate"),
        ({"dequantisation": "variational"}, "dequantisation: variational"),
        ({"split": "validation"}, "split: validation"),
        ({"levels": 32}, "levels: 32"),
        ({"differs": "nats in logit space"}, "nats in logit space"),
        ({"flow": ""}, "another model"),
    ],
)
def test_what_was_measured_otherwise_never_stands_beside(cell, change, words):
    maf = cell("mnist", "maf", MAF)
    value = next(value for value in published.load() if not value.differences(maf) and value.data == "mnist")
    assert replace(value, **change).differences(maf) == [words]


def test_a_cell_without_an_exact_likelihood_has_nothing_beside(cell):
    assert published.beside(cell("mnist", "maf", MAF, likelihood="bound")) == []


def test_context_says_what_sets_a_value_apart_from_the_nearest_cell(cell):
    cells = [cell("cifar10", "glow", GLOW | {"steps": 16}), cell("cifar10", "realnvp", REALNVP)]
    context = {(value.model, value.paper): differences for value, differences in published.context(cells)}
    assert context["Glow", "Glow (Kingma)"] == ["steps 32, here 16"]
    assert context["Glow (reimpl, 80 ep)", "chrischute/glow"] == ["split: validation", "steps 32, here 16"]
    assert context["MAF (10)", "MAF (Papamakarios)"][-1] == "another model"
    assert context["RealNVP", "RealNVP (Dinh)"] == ["horizontal flips, here none"]
    assert "another model" in context["Flow++ (variational dequant)", "Flow++ (Ho)"]
    assert all(context.values())


def test_sizes_of_layers_are_counted(cell):
    value = next(value for value in published.load() if value.model == "MAF (5)")
    assert value.differences(cell("mnist", "maf", MAF | {"hidden": [512]})) == ["hidden 2 × 1,024, here 1 × 512"]


def test_of_another_architecture_nothing_else_is_compared(cell):
    value = next(value for value in published.load() if value.model == "RealNVP (5)")
    assert value.differences(cell("mnist", "realnvp", REALNVP)) == ["architecture vector, here multi-scale"]


def test_each_value_is_either_beside_or_context(cell):
    cells = [cell("mnist", "maf", MAF), cell("mnist", "nice", NICE)]
    shown = [value for one in cells for value in published.beside(one)]
    shown += [value for value, _ in published.context(cells)]
    assert sorted(value.value for value in shown) == sorted(v.value for v in published.load() if v.data == "mnist")


@pytest.mark.parametrize("metric", ["wasserstein_2", "normalised_path_energy"])
def test_transports_are_compared_by_their_own_metrics_whatever_the_likelihood(cell, metric):
    independent = cell("normal_to_moons", "flow_matching", {"path": "linear", "coupling": "independent"})
    assert published.metrics("normal_to_moons") == ["wasserstein_2", "normalised_path_energy"]
    assert published.metrics("mnist") == ["bits_per_dim"]
    assert published.context([independent]) == []
    unknown = "scale of the data and number of points not known"
    couplings = {value.model: differences for value, differences in published.context([independent], metric)}
    assert couplings == {
        "I-CFM": [unknown],
        "OT-CFM": [unknown, "coupling optimal-transport, here independent"],
    }
    value = next(v for v in published.load() if (v.data, v.metric, v.model) == ("normal_to_moons", metric, "I-CFM"))
    assert replace(value, differs="", likelihood="estimate").differences(independent) == []


@pytest.mark.parametrize("data", TABLES)
def test_of_tables_the_gaussian_stands_beside_and_flows_of_unstated_sizes_are_context(cell, data):
    gaussian = cell(data, "gaussian", {"covariance": "full"})
    maf = cell(data, "maf", {"layers": 5, "hidden": [100, 100]})
    assert [value.model for value in published.beside(gaussian)] == ["Gaussian"]
    assert published.beside(maf) == []
    context = {value.model: differences for value, differences in published.context([gaussian, maf])}
    assert len(context) == 16
    assert context["MAF (5)"] == ["one or two hidden layers, which is not stated; batch normalisation between the maps"]
    assert context["MAF (10)"][1:] == ["layers 10, here 5"]
    assert context["MAF MoG (5)"][1:] == ["components 10, here none"]
    assert context["RQ-NSF (AR)"][1:] == ["another model"]


def test_log_likelihoods_of_tables_become_bits_per_dim():
    values = {(value.model, value.data): value for value in published.load()}
    bsds300 = values["MAF (5)", "bsds300"]
    assert bsds300.value == pytest.approx(-155.69 / (63 * math.log(2)))
    assert bsds300.uncertainty == pytest.approx(0.28 / (63 * math.log(2)))
    assert bsds300.derived == "converted from 155.69 ± 0.28 nats"
    assert values["Gaussian", "power"].value == pytest.approx(7.74 / (6 * math.log(2)))
    assert values["Gaussian", "power"].derived == "converted from −7.74 ± 0.02 nats"
    assert values["Residual Flow (L=10)", "gas"].uncertainty is None


def test_squared_distances_of_more_points_are_context_alone(cell):
    coupled = cell("eight_gaussians_to_moons", "flow_matching", {"path": "linear", "coupling": "optimal-transport"})
    context = {value.model: differences for value, differences in published.context([coupled], "wasserstein_2")}
    squared = "squared, as their code has it, and of 10,000 points"
    assert context["OT-FM (adaptive)"] == [f"{squared}; 1,024 coupled at once"]
    assert context["FM (adaptive)"] == [squared, "coupling independent, here optimal-transport"]
    assert context["OT-FM (Euler-1)"] == [f"{squared}; 1,024 coupled at once; by one step of Euler's method"]
    assert context["FM (Euler-1)"][0].endswith("by one step of Euler's method")


def test_every_value_can_be_traced_to_its_source():
    values = published.load()
    assert len({(v.model, v.paper, v.data, v.value) for v in values}) == len(values)
    for value in values:
        assert METRICS[value.metric].better == "lower"
        assert value.paper
        assert value.arxiv[4] == "."
        assert 2014 <= value.year <= 2026
        assert abs(value.value) < 8
        assert value.value > 0 or value.data in TABLES, "no bits per dim of images and no distances are negative"
        assert value.setting
        assert value.budget
        assert value.when or value.differs or not value.flow, "a value of one of our flows says when it is the same"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([64, 64], "hidden 2 × 64"),
        ([32, 64], "hidden [32, 64]"),
        (["a"], "hidden a"),
        (["a", "b"], "hidden a, b"),
        ([], "hidden none"),
    ],
)
def test_lists_are_written_for_people(value, text):
    assert published.words("hidden", value) == text


@pytest.mark.parametrize("data", TABLES)
def test_tables_have_the_columns_that_nats_are_divided_by(data):
    assert published._COLUMNS[data] == data_sets.load(data).event.dims
