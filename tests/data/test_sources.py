"""Every data source: its splits, its density, and whether the two agree. A new file is tested with no new test.

Published images and tables, which must be downloaded, have tests of their own.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from flowbench import config, data
from flowbench.data._places import DownloadedSource
from flowbench.numerics.quadrature import Grid, log_integral

OPTIONS = config.load(Path(__file__).parents[2] / "params.yaml").data


@cache
def load(name: str) -> data.Source:
    return data.load(name, **OPTIONS[name])


@cache
def splits(name: str) -> dict[str, np.ndarray]:
    return load(name).splits()


@cache
def entropy(name: str) -> float:
    return load(name).entropy()


def sample(name: str) -> np.ndarray:
    return np.concatenate(list(splits(name).values()))


NAMES = [name for name in OPTIONS if not isinstance(load(name), DownloadedSource)]
PLANE = [name for name in NAMES if load(name).grid]
KNOWN_DENSITY = [name for name in PLANE if load(name).log_density(torch.zeros(1, 2)) is not None]
parametrize_all = pytest.mark.parametrize("name", NAMES)
parametrize_plane = pytest.mark.parametrize("name", PLANE)
parametrize_known = pytest.mark.parametrize("name", KNOWN_DENSITY)


def test_params_describe_every_source():
    # `table` reads a file of one's own; tests/data/test_table.py has some.
    assert {*(options.get("source", name) for name, options in OPTIONS.items()), "table"} == set(data.names())


@parametrize_all
def test_splits_have_the_declared_form(name):
    source = load(name)
    assert source.name == name
    assert tuple(splits(name)) == data.SPLITS
    for split, array in splits(name).items():
        assert array.shape == (OPTIONS[name].get(split, len(array)), *source.event.shape)
        assert array.dtype == (np.uint8 if source.event.levels else np.float32)
        assert np.isfinite(array).all()
        if source.event.levels:
            assert array.max() == source.event.levels - 1


@parametrize_all
def test_splits_are_the_same_at_each_call(name):
    again = data.load(name, **OPTIONS[name]).splits()
    assert all(np.array_equal(array, again[split]) for split, array in splits(name).items())


@parametrize_all
def test_splits_are_disjoint(name):
    rows = {split: {row.tobytes() for row in array} for split, array in splits(name).items()}
    if load(name).event.dims == 1:  # where single numbers of float32 agree by chance, about one in 400
        assert len(rows["train"] & rows["test"]) < 0.01 * len(rows["test"])
        return
    assert rows["train"].isdisjoint(rows["test"])
    assert rows["train"].isdisjoint(rows["validation"])
    assert rows["validation"].isdisjoint(rows["test"])


@pytest.mark.parametrize(
    ("name", "resized"), [(name, split) for name in NAMES for split in data.SPLITS if split in OPTIONS[name]]
)
def test_size_of_a_split_changes_no_other_held_out_split(name, resized):
    other = data.load(name, **OPTIONS[name] | {resized: 100}).splits()
    assert len(other[resized]) == 100
    for split in {"validation", "test"} - {resized}:
        assert np.array_equal(other[split], splits(name)[split])


@parametrize_known
def test_density_integrates_to_one_on_the_grid(name):
    source = load(name)
    density = source.grid.evaluate(source.log_density, dtype=torch.float64)
    assert log_integral(density, source.grid) == pytest.approx(0, abs=1e-6)


@parametrize_plane
def test_grid_holds_the_sample(name):
    grid = load(name).grid
    assert sample(name).min() > grid.low
    assert sample(name).max() < grid.high


@parametrize_known
def test_density_is_that_of_the_sample(name):
    """Pearson's χ² of the counts in 40 × 40 bins."""
    grid = Grid(load(name).grid.low, load(name).grid.high, 400)
    mass = grid.evaluate(load(name).log_density, dtype=torch.float64).exp().numpy() * grid.cell_area
    expected = len(sample(name)) * mass.reshape(40, 10, 40, 10).sum((1, 3))
    edges = np.linspace(grid.low, grid.high, 41)
    counts, _, _ = np.histogram2d(*sample(name).T[::-1], bins=(edges, edges))
    likely = expected > 5
    degrees = likely.sum() - 1
    chi_squared = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    assert degrees > 50
    assert chi_squared < degrees + 4 * math.sqrt(2 * degrees)


@parametrize_known
def test_entropy_is_the_mean_of_minus_log_density(name):
    surprise = -load(name).log_density(torch.from_numpy(sample(name)))
    standard_error = float(surprise.std()) / math.sqrt(len(surprise))
    assert entropy(name) == pytest.approx(float(surprise.mean()), abs=4 * standard_error + 1e-9)


@pytest.mark.parametrize("name", [n for n in KNOWN_DENSITY if type(load(n)).entropy is not data.Source.entropy])
def test_entropy_in_closed_form_agrees_with_quadrature(name):
    assert entropy(name) == pytest.approx(data.Source.entropy(load(name)), abs=1e-6)


@parametrize_known
def test_log_density_takes_both_precisions(name):
    x = torch.from_numpy(splits(name)["validation"][:100])
    single, double = load(name).log_density(x), load(name).log_density(x.double())
    assert single.shape == (100,)
    torch.testing.assert_close(single, double, check_dtype=False)


def test_only_two_modes_is_an_energy():
    x = torch.zeros(3, 2)
    assert [name for name in PLANE if load(name).log_energy(x) is not None] == ["two_modes"]


@pytest.mark.parametrize("name", ["gaussian", "gaussian_1d"])
def test_gaussian_has_the_moments_it_states(name):
    source, x = load(name), sample(name)
    assert x.mean(0) == pytest.approx(source.mean, abs=4 * max(source.std) / math.sqrt(len(x)))
    assert x.std(0) == pytest.approx(source.std, rel=4 / math.sqrt(2 * len(x)))


def test_a_density_on_the_line_is_that_of_a_normal_and_has_its_entropy():
    source, x = load("gaussian_1d"), torch.linspace(-20, 30, 20_001, dtype=torch.float64)[:, None]
    density = source.log_density(x).exp()
    assert float(torch.trapezoid(density, x[:, 0])) == pytest.approx(1, abs=1e-9)
    assert float(torch.trapezoid(torch.special.entr(density), x[:, 0])) == pytest.approx(source.entropy(), abs=1e-6)
    assert source.grid is None


def test_moons_density_agrees_with_a_plain_sum_over_the_arcs():
    source = load("moons")
    x = splits("moons")["test"][:50].astype(np.float64)
    angle = (np.arange(20_000) + 0.5) * math.pi / 20_000
    arcs = np.stack([np.cos(angle), np.sin(angle)]), np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
    squares = [((x[:, :, None] - arc) ** 2).sum(1) for arc in arcs]
    density = np.mean([np.exp(-square / (2 * source.noise**2)).mean(1) for square in squares], 0)
    expected = np.log(density / (2 * math.pi * source.noise**2))
    assert source.log_density(torch.from_numpy(x)).numpy() == pytest.approx(expected, abs=1e-6)


def test_moons_are_those_of_scikit_learn_with_an_entropy_of_0_289_nats():
    # 0.2887 ± 0.0004 from 3,000,000 independent points, 0.2893 from 2,000,000 of make_moons.
    assert entropy("moons") == pytest.approx(0.2892, abs=1e-4)


def test_checkerboard_lies_on_its_dark_squares():
    x = sample("checkerboard")
    assert set(np.unique(np.floor(x / 2).sum(1) % 2)) == {0}
    assert load("checkerboard").log_density(torch.tensor([[1.0, -1.0], [5.0, 5.0]])).tolist() == [-math.inf] * 2


def test_every_density_in_the_plane_is_known_but_that_of_the_pushed_moons():
    assert set(PLANE) - set(KNOWN_DENSITY) == {"normal_to_moons", "eight_gaussians_to_moons"}
    assert load("normal_to_moons").entropy() is None


@pytest.mark.parametrize("name", ["normal_to_moons", "eight_gaussians_to_moons"])
def test_pushed_moons_are_half_circles_pushed_along_the_diagonal(name):
    x = (sample(name).astype(np.float64) + 1) / 3
    found = np.zeros((2, len(x)), bool)
    for half, (centre, side) in enumerate([((0, 0), 1), ((1, 0.5), -1)]):
        # |x - s (1, 1) - centre| = 1 at two pushes s.
        d = x - centre
        root = np.sqrt((d.sum(1) ** 2 - 2 * ((d**2).sum(1) - 1)).clip(0))
        for push in ((d.sum(1) - root) / 2, (d.sum(1) + root) / 2):
            found[half] |= (push > -1e-3) & (push < 0.2 + 1e-3) & (side * (d[:, 1] - push) > -1e-3)
    assert found.any(0).all()
    assert found.mean(1) == pytest.approx([0.5, 0.5], abs=0.01)
    # E cos t = 0 and E sin t = 2/π on both, and the push adds 0.1.
    assert x.mean(0) == pytest.approx([0.6, 0.35], abs=4 / math.sqrt(len(x)))


def test_eight_gaussians_of_the_transports_have_a_radius_of_5_and_the_fourth_root_of_0_1_as_deviation():
    x = sample("normal_to_eight_gaussians")
    start = load("eight_gaussians_to_moons").event.start
    centres = np.array(start.centres)
    nearest = np.linalg.norm(x[:, None] - centres, axis=2).argmin(1)
    for k in range(8):
        angle = k * math.pi / 4
        assert centres[k] == pytest.approx([5 * math.cos(angle), 5 * math.sin(angle)])
        points = x[nearest == k]
        assert len(points) == pytest.approx(len(x) / 8, rel=0.05)
        assert points.mean(0) == pytest.approx(centres[k], abs=0.03)
        assert points.std(0) == pytest.approx(math.sqrt(math.sqrt(0.1)), rel=0.03)
    assert start.std == pytest.approx(0.56234, abs=1e-5)


@pytest.mark.parametrize("name", ["normal_to_moons", "normal_to_eight_gaussians", "eight_gaussians_to_moons"])
def test_transports_keep_the_scale_of_the_data(name):
    assert not load(name).event.standardise
    assert (load(name).event.start is None) == name.startswith("normal")


def test_two_modes_energy_is_the_stated_formula():
    x = torch.tensor([[2.0, 0.0], [-2.1, 0.3], [0.0, 0.5], [0.1, -3.0]], dtype=torch.float64)
    expected = [
        -0.5 * ((math.hypot(a, b) - 2) / (2 * 0.1)) ** 2
        - 0.5 * ((abs(a) - 2) / (3 * 0.1)) ** 2
        + math.log(1 + math.exp(-2 * 2 * abs(a) / (3 * 0.1) ** 2))
        for a, b in x.tolist()
    ]
    assert load("two_modes").log_energy(x).tolist() == pytest.approx(expected, rel=1e-12)


def test_two_modes_normaliser():
    source, x = load("two_modes"), torch.from_numpy(splits("two_modes")["test"][:5])
    log_normaliser = source.log_energy(x.double()) - source.log_density(x)
    assert log_normaliser.tolist() == pytest.approx([0.804] * 5, abs=5e-4)


def test_two_modes_energy_has_a_gradient_everywhere():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], requires_grad=True)
    load("two_modes").log_energy(x).sum().backward()
    assert x.grad.isfinite().all()


def test_two_modes_has_both_modes_in_equal_parts():
    assert (sample("two_modes")[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.02)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    def in_order(images):
        return sorted(image.astype(np.uint8).tobytes() for image in images)

    assert in_order(sample("digits")) == in_order(load_digits().images)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("mons", {}, "data = 'mons': no such data set; did you mean 'moons'?"),
        ("moons", {"nois": 0.1}, "data.moons = 'nois': no such key; did you mean 'noise'?"),
        ("moons", {"noise": 0.0}, "data.moons.noise = 0.0: input should be greater than or equal to 0.01"),
        ("moons", {"test": -1}, "data.moons.test = -1: input should be greater than 0"),
        ("moons", {"test": "20"}, "data.moons.test = '20': input should be a valid integer"),
        ("gaussian", {"mean": [1.0]}, "mean and std need a number each for one axis or for two"),
        ("gaussian", {"std": [1.0, -1.0]}, "data.gaussian.std.1 = -1.0: input should be greater than 0"),
        ("gaussian", {"mean": [], "std": []}, "mean and std need a number each for one axis or for two"),
        ("digits", {"test": 1700}, "validation and test take all of the 1797 examples; leave some to train on"),
        ("eight_gaussians", {"std": 1e-6}, "cells a side, above 4000"),
    ],
)
def test_wrong_options_are_one_line(name, wrong, message):
    with pytest.raises(config.ConfigError) as error:
        data.load(name, **OPTIONS.get(name, {}) | wrong)
    assert str(error.value).startswith("params.yaml: data")
    assert str(error.value).endswith(message)
    assert "\n" not in str(error.value)
