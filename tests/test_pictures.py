import numpy as np
import pytest
from PIL import Image

from flowbench import pictures
from flowbench.quadrature import Grid

GRID = Grid(-3, 3, 50)


def normal_log_density(std=1.0):
    x, y = GRID.points().numpy().reshape(50, 50, 2).transpose(2, 0, 1)
    return -(x**2 + y**2) / (2 * std**2) - np.log(2 * np.pi * std**2)


def draw_density(path, log_density=None, truth=None):
    points = np.random.default_rng(0).normal(size=(500, 2))
    pictures.density(
        path, points, points, normal_log_density() if log_density is None else log_density, GRID, truth, "x"
    )


def draw_images(path):
    images = np.random.default_rng(0).integers(0, 17, size=(70, 1, 8, 8))
    pictures.image_grid(path, images, images[:13], 17, "x")


def draw_film(path, frames=9):
    values = np.stack([np.exp(normal_log_density(1 + 1 / (i + 1))) for i in range(frames)])
    pictures.film_strip(path, values, [10 * i for i in range(frames)], np.exp(normal_log_density()), GRID, "x")


@pytest.mark.parametrize("draw", [draw_density, draw_images, draw_film])
def test_bytes_depend_on_the_arrays_alone(draw, tmp_path):
    import matplotlib

    draw(tmp_path / "first.png")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):
        draw(tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    assert (tmp_path / "first.png").stat().st_size < 150_000
    assert Image.open(tmp_path / "first.png").text == {}


def test_a_known_truth_has_a_panel_of_its_own(tmp_path):
    draw_density(tmp_path / "three.png")
    draw_density(tmp_path / "four.png", truth=normal_log_density())
    three, four = (Image.open(tmp_path / f"{name}.png").width for name in ("three", "four"))
    assert four * 3 == pytest.approx(three * 4, abs=4)


def test_values_that_are_not_finite_are_drawn_as_nothing(tmp_path):
    broken = normal_log_density()
    broken[:10], broken[10:20], broken[20:30] = np.nan, np.inf, -np.inf
    draw_density(tmp_path / "broken.png", broken)
    nothing = normal_log_density()
    nothing[:30] = -np.inf
    draw_density(tmp_path / "nothing.png", nothing)
    assert (tmp_path / "broken.png").read_bytes() == (tmp_path / "nothing.png").read_bytes()


def test_every_frame_is_shown(tmp_path):
    heights = []
    for frames in (1, 7, 8):
        draw_film(tmp_path / "film.png", frames)
        heights.append(Image.open(tmp_path / "film.png").height)
    assert heights[0] == heights[1] < heights[2], "eight frames and the target need a second row"
