import numpy as np
import pytest
from PIL import Image

from flowbench.numerics.quadrature import Grid
from flowbench.plotting import densities
from flowbench.plotting import images as sheets

GRID = Grid(-3, 3, 50)


def normal_log_density(std=1.0):
    x, y = GRID.points().numpy().reshape(50, 50, 2).transpose(2, 0, 1)
    return -(x**2 + y**2) / (2 * std**2) - np.log(2 * np.pi * std**2)


def draw_density(path, log_density=None, truth=None):
    points = np.random.default_rng(0).normal(size=(500, 2))
    densities.density(
        path, points, points, normal_log_density() if log_density is None else log_density, GRID, truth, "x"
    )


def images(n, channels=1, size=8, levels=17):
    return np.random.default_rng(0).integers(0, levels, size=(n, channels, size, size)).astype(np.float32)


def draw_images(path):
    sheets.image_samples(path, {"test data": images(120), "samples": images(13)}, 16, "x")


def draw_colour_images(path):
    # Noise is what compresses worst.
    shown = images(30, 3, 32, 256)
    sheets.image_samples(path, dict.fromkeys(("one", "two", "three"), shown), 255, "x")


def draw_reconstructions(path):
    x = images(40) / 17
    sheets.reconstructions(path, x, x + np.float32(1e-6), "x")


def draw_interpolations(path):
    sheets.interpolations(path, images(12 * 12).reshape(12, 12, 1, 8, 8), 16, "x")


def draw_film(path, frames=9):
    values = np.stack([np.exp(normal_log_density(1 + 1 / (i + 1))) for i in range(frames)])
    densities.film_strip(path, values, [10 * i for i in range(frames)], np.exp(normal_log_density()), GRID, "x")


@pytest.mark.parametrize(
    "draw", [draw_density, draw_images, draw_colour_images, draw_reconstructions, draw_interpolations, draw_film]
)
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


def colours(path):
    """Every colour of a picture with the number of its pixels."""
    image = Image.open(path).convert("RGB")
    return {colour: count for count, colour in image.getcolors(image.width * image.height)}


MAGENTA = (255, 0, 255)


def test_each_pixel_of_an_image_is_a_square_of_its_colour(tmp_path):
    shown = np.zeros((1, 3, 32, 32))
    shown[0, :, 3, 4], shown[0, :, 20, 20] = (255, 0, 0), (0, 255, 0)
    sheets.image_samples(tmp_path / "x.png", {"test data": shown}, 255)
    counts = colours(tmp_path / "x.png")
    assert (counts[255, 0, 0], counts[0, 255, 0]) == (4, 4)
    assert counts[0, 0, 0] == 4 * (32 * 32 - 2)


def test_grey_levels_are_ink_on_paper(tmp_path):
    shown = np.zeros((1, 1, 28, 28))
    shown[0, 0, :14] = 255
    sheets.image_samples(tmp_path / "x.png", {"": shown}, 255)
    assert colours(tmp_path / "x.png")[0, 0, 0] == 4 * 14 * 28


@pytest.mark.parametrize("size", [1, 3, 64, 179, 180, 256, 500, 1200])
def test_images_of_any_size_are_drawn(tmp_path, size):
    # One colour that fills an image, so that its pixels can be counted.
    shown = np.zeros((2, 3, size, size), np.float32)
    shown[:, 1] = 255
    sheets.image_samples(tmp_path / "samples.png", {"test data": shown, "samples": shown[:1]}, 255)
    sheets.reconstructions(tmp_path / "again.png", shown[:1] / 255, shown[:1] / 255)
    sheets.interpolations(tmp_path / "ways.png", shown[None], 255)
    for name in ("samples", "again", "ways"):
        count = colours(tmp_path / f"{name}.png")[0, 255, 0]
        assert count >= 2 * size**2
        assert count % size**2 == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_that_are_not_finite_are_marked(tmp_path, channels):
    x = 90 + images(20, channels, 28, 60)  # no colour near magenta
    broken = x.copy()
    broken[4, 0, 5, 6:9] = np.nan, np.inf, -np.inf
    sheets.image_samples(tmp_path / "samples.png", {"test data": x, "samples": broken}, 255)
    assert colours(tmp_path / "samples.png")[MAGENTA] == 4 * 3
    sheets.reconstructions(tmp_path / "again.png", x / 256, broken / 256)
    assert colours(tmp_path / "again.png")[MAGENTA] == 2 * 4 * 3  # in the image and in the difference
    sheets.interpolations(tmp_path / "ways.png", broken.reshape(4, 5, channels, 28, 28), 255)
    assert colours(tmp_path / "ways.png")[MAGENTA] == 4 * 3
    sheets.image_samples(tmp_path / "samples.png", {"test data": x, "samples": x}, 255)
    assert MAGENTA not in colours(tmp_path / "samples.png")


@pytest.mark.parametrize(
    ("difference", "factor"),
    [(0.0, 1), (0.7, 1), (0.3, 2), (0.011, 50), (3e-7, 2_000_000), (5.0, 1), (np.nan, 1), (np.inf, 1)],
)
def test_differences_are_magnified_as_far_as_they_can_be_shown(difference, factor):
    assert sheets._magnification(np.array([difference, 0.0])) == pytest.approx(factor)
