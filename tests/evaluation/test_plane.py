"""The pictures of a flow of the plane: the bent grid, and how a density was learnt."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowbench import flows
from flowbench.core import Event
from flowbench.evaluation import paths, plane
from flowbench.evaluation.plane import cell_corners
from flowbench.evaluation.subject import Subject
from flowbench.numerics.quadrature import Grid
from flowbench.records.training import Training
from flowbench.runtime.seeding import seeded
from tests.tiny_cells import CONTINUOUS, ENERGY, VECTORS


def areas(corners: np.ndarray) -> np.ndarray:
    """Of polygons ``(n, 4, 2)``, by Gauss's formula; positive if their corners go round against the clock."""
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)


def subject_of(tiny, key: str) -> Subject:
    training, cell = Training.load(tiny.trained(key)), tiny.cell(key)
    split = torch.from_numpy(np.array(cell.splits["test"]))
    return Subject(cell, training, 0, cell.trained(training, 0), split)


def drawn(monkeypatch, module, name: str) -> list[tuple]:
    """What a function of a module for pictures is called with."""
    calls: list[tuple] = []
    monkeypatch.setattr(module, name, lambda *args: calls.append(args))
    return calls


def test_the_corners_of_cells_go_round_each_centre():
    grid = Grid(-2, 3, 7)
    edges = torch.linspace(-2, 3, 8)
    corners = cell_corners(torch.cartesian_prod(edges, edges).flip(1), 7)
    torch.testing.assert_close(corners.mean(1), grid.points())
    assert areas(corners.numpy()) == pytest.approx(np.full(49, grid.cell_area), rel=1e-5)


@pytest.mark.parametrize("key", [VECTORS, ENERGY, CONTINUOUS])
def test_colours_of_bent_cells_are_the_logarithms_of_how_their_areas_grow(tiny, tmp_path, monkeypatch, key):
    calls = drawn(monkeypatch, plane.maps, "bent_grid")
    monkeypatch.setattr(plane, "_WARP_CELLS", 60)  # a map is straight within small cells
    subject = subject_of(tiny, key)
    with seeded(0), torch.no_grad():
        plane._draw_warp(subject, tmp_path)
    ((_, before, after, logdets, limits, _),) = calls
    assert limits == (subject.cell.source.grid.low, subject.cell.source.grid.high)
    assert len(before) == len(after) == len(logdets) > 1000
    grown = np.log(np.abs(areas(after.astype(float)) / areas(before.astype(float))))
    assert np.median(np.abs(grown - logdets)) < 0.01
    # Nothing is shown where the prior has next to no mass.
    assert np.linalg.norm(before.mean(1), axis=1).max() < math.sqrt(2 * plane._WARP_NATS) + 0.1


def test_the_strip_of_an_energy_tells_beta_and_the_divergence(tiny, tmp_path, monkeypatch):
    strips, films = (drawn(monkeypatch, plane.densities, name) for name in ("film_strip", "learning"))
    subject = subject_of(tiny, ENERGY)
    plane._draw_training(subject, tmp_path)
    ((_, frames, captions, target, name, grid, _),) = strips
    assert films[0][1:] == strips[0][1:]
    assert captions[0].startswith("step 0\nβ 0.01, KL ")
    assert (name, grid.size) == ("true density", 64)
    assert target.sum() * grid.cell_area == pytest.approx(1, abs=1e-3)
    # The divergence of the last frame, by hand.
    q, p = frames[-1].astype(float), np.maximum(target, 1e-300)
    kl = np.where(q > 0, q * np.log(np.maximum(q, 1e-300) / p), 0).sum() * grid.cell_area
    assert captions[-1] == f"step 30\nβ 1.00, KL {kl:.2f}" or float(captions[-1].split()[-1]) == pytest.approx(
        kl, abs=0.02
    )


def test_a_frame_that_is_not_finite_has_no_divergence(tiny, tmp_path, monkeypatch):
    strips = drawn(monkeypatch, plane.densities, "film_strip")
    drawn(monkeypatch, plane.densities, "learning")
    subject = subject_of(tiny, ENERGY)
    frames, steps = subject.training.snapshots()
    frames[1] = np.nan
    monkeypatch.setattr(Training, "snapshots", lambda self: (frames, steps))
    plane._draw_training(subject, tmp_path)
    captions = strips[0][2]
    assert captions[1].endswith("no KL")
    assert "no KL" not in captions[0] + captions[-1]


def test_pictures_of_a_flow_that_cannot_be_solved_cost_themselves_alone(tiny, tmp_path, capfd):
    subject = subject_of(tiny, CONTINUOUS)
    subject.model.flow.max_evaluations = 1
    subject.draw(plane.PICTURES + paths.PICTURES, tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {"training", "training-animation", "transport"}
    assert not subject.missing
    lines = capfd.readouterr().err.splitlines()
    for purpose, line in zip(("warp", "density path"), lines, strict=True):
        assert line.startswith(f"{CONTINUOUS} seed 0: cannot draw {purpose}; params.yaml: flows.cnf.small: ")
        assert "the solver needs more than max_evaluations = 1" in line


def test_a_continuous_flow_is_drawn_with_the_same_bytes_again(tiny, tmp_path):
    subject_of(tiny, CONTINUOUS).draw(plane.PICTURES + paths.PICTURES, tmp_path)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 5
    before = tiny.measured(CONTINUOUS) / "pictures"
    assert contents == {name: (before / name).read_bytes() for name in contents}


def test_a_coupling_is_shown_beside_the_other(tmp_path, monkeypatch):
    calls = drawn(monkeypatch, paths.maps, "coupling")
    for own in ("independent", "optimal-transport"):
        model = flows.build("flow_matching", Event((2,)), {"hidden": [8], "coupling": own})
        with seeded(0), torch.no_grad():
            x = 3 + torch.randn(200, 2)
            model.initialise(x)
            cell = SimpleNamespace(options={"coupling": own}, title="x")
            paths._draw_coupling(SimpleNamespace(continuous=model, split=x, cell=cell), tmp_path)
    for (_, start, ends, _), named in zip(calls, ("independent", "optimal transport"), strict=True):
        assert [name.partition(",")[0] for name in ends] == ["independent", "optimal transport"]
        assert [name for name in ends if "this flow's" in name] == [f"{named}, this flow's"]
        independent, optimal = ends.values()
        assert start.shape == independent.shape == optimal.shape == (128, 2)
        assert sorted(independent.tolist()) == sorted(optimal.tolist())
        assert ((optimal - start) ** 2).sum() < 0.7 * ((independent - start) ** 2).sum()
