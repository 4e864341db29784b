import numpy as np
import pytest
from PIL import Image

from flowbench.numerics.quadrature import Grid
from flowbench.plotting import densities, layers, maps, pairs
from flowbench.plotting import images as sheets
from flowbench.plotting.canvas import canvas

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


def frames_of(count):
    values = np.stack([np.exp(normal_log_density(1 + 1 / (i + 1))) for i in range(count)]).astype(np.float16)
    return values, [f"step {10 * i}\nβ 1.00, KL 0.10" for i in range(count)]


def draw_film(path, frames=9):
    densities.film_strip(path, *frames_of(frames), np.exp(normal_log_density()), "true density", GRID, "x")


def draw_learning(path, frames=9):
    densities.learning(path, *frames_of(frames), np.exp(normal_log_density()), "true density", GRID, "x")


def points(n=200):
    return np.random.default_rng(0).normal(size=(n, 2))


def draw_bent_grid(path):
    centres = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 1, 2) / 10 - 1
    corners = centres + np.array([[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]])
    maps.bent_grid(path, corners, corners**3, np.log(9 * (centres[:, 0] ** 2).prod(1) + 1e-9), (-1, 1), "x")


def draw_transport(path, frames=5):
    times = np.linspace(0, 1, frames)
    arrows = np.stack(np.meshgrid(np.linspace(-3, 3, 9), np.linspace(-3, 3, 9)), -1).reshape(-1, 2)
    maps.transport(path, times, points() * np.exp(-times)[:, None, None], arrows, np.stack([-arrows] * frames), "x")


def draw_coupling(path):
    start = points(100)
    maps.coupling(path, start, {"independent": 2 * start[::-1], "optimal transport": 2 * start}, "x")


def draw_density_path(path):
    densities.density_path(path, [0.0, 0.5, 1.0], frames_of(3)[0], [1e-7, 0.0, np.nan], GRID, "x")


def draw_clouds(path):
    maps.clouds(path, {"codes": points(), "prior": points()}, {"codes": points()[:, 0]}, "x")


def draw_while_training(path):
    x = images(8) / 17
    sheets.while_training(path, x, {"step 0": x * 0, "step 10": x}, "validation data", "x")


def draw_images_while_training(path, frames=5):
    x = images(64) / 17
    sheets.learning(
        path, x, np.stack([x * i / frames for i in range(frames)]), [f"step {i}" for i in range(frames)], "x"
    )


def draw_layers(path):
    names = ["latents", *(f"{i} InvertibleLinear" for i in range(30)), "test data"]
    layers.through_layers(path, [(name, points(400)) for name in names], np.arange(400), "x")


def draw_layers_of_the_line(path):
    layers.through_layers(path, [(name, points()[:, :1]) for name in ("latents", "1 Affine", "data")], np.arange(200))


@pytest.mark.parametrize(
    "draw",
    [
        draw_density,
        draw_images,
        draw_colour_images,
        draw_reconstructions,
        draw_interpolations,
        draw_film,
        draw_learning,
        draw_bent_grid,
        draw_transport,
        draw_coupling,
        draw_density_path,
        draw_clouds,
        draw_while_training,
        draw_images_while_training,
        draw_layers,
        draw_layers_of_the_line,
    ],
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


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (36, [0, 5, 10, 15, 20, 25, 30, 35]),
        (11, [0, 2, 4, 6, 8, 10]),
        (8, [*range(8)]),
        (2, [0, 1]),
        (1, [0]),
        (12, [0, 2, 3, 5, 6, 8, 9, 11]),
    ],
)
def test_a_strip_shows_frames_from_the_first_to_the_last(count, shown):
    assert densities.spread(count, 8) == shown


def test_a_strip_has_one_panel_for_each_frame_and_one_for_the_target(tmp_path):
    widths = {}
    for frames in (4, 7, 36):
        draw_film(tmp_path / "film.png", frames)
        widths[frames] = Image.open(tmp_path / "film.png").width
    assert widths[7] / widths[4] == pytest.approx(8 / 5, rel=0.01)
    assert widths[36] / widths[4] == pytest.approx(9 / 5, rel=0.01)


@pytest.mark.parametrize(
    ("draw", "frames"), [(draw_learning, 9), (draw_transport, 5), (draw_learning, 1), (draw_images_while_training, 5)]
)
def test_animations_show_every_frame_again_and_again(draw, frames, tmp_path):
    draw(tmp_path / "x.png", frames)
    picture = Image.open(tmp_path / "x.png")
    assert (getattr(picture, "n_frames", 1), picture.format) == (frames, "PNG")
    if frames > 1:
        assert picture.info["loop"] == 0
        seen = []
        for i in range(frames):
            picture.seek(i)
            seen.append(picture.convert("RGB").tobytes())
        assert len(set(seen)) == frames
        assert picture.info["duration"] >= 1000  # the last stays


def test_what_is_not_finite_does_not_stop_a_picture(tmp_path):
    frames, captions = frames_of(9)
    frames[3] = np.nan
    frames[4, :5] = np.inf
    densities.film_strip(tmp_path / "a.png", frames, captions, frames[0], "test data", GRID)
    densities.learning(tmp_path / "b.png", frames, captions, frames[3], "test data", GRID)
    corners = np.random.default_rng(0).random((5, 4, 2))
    for broken in (np.full((5, 4, 2), np.nan), np.where(corners > 0.9, np.inf, corners)):
        maps.bent_grid(tmp_path / "c.png", corners, broken, np.array([1.0, np.nan, np.inf, 0, 0]), (-1, 1))
    lost = np.where(np.arange(5)[:, None, None] < 2, points(), np.nan)
    arrows = points(9)
    maps.transport(tmp_path / "d.png", [0, 1, 2, 3, 4], lost, arrows, np.full((5, 9, 2), np.nan))
    densities.density_path(tmp_path / "e.png", [0.0], np.full((1, 9, 9), np.nan), [np.inf], GRID)
    maps.clouds(tmp_path / "f.png", {"a": np.full((5, 2), np.nan), "b": np.full((5, 2), np.inf)}, {})
    maps.coupling(tmp_path / "g.png", points(5), {"a": np.full((5, 2), np.nan)})
    broken = np.where(np.arange(5)[:, None] < 2, np.inf, points(5))
    for dims in (1, 2):
        layers.through_layers(
            tmp_path / f"h{dims}.png", [("a", broken[:, :dims]), ("b", broken[:, :dims])], np.arange(5)
        )
        layers.through_layers(tmp_path / f"i{dims}.png", [("a", np.full((5, dims), np.nan))] * 2, np.arange(5))
    assert len(list(tmp_path.iterdir())) == 11


def test_long_names_fit(tmp_path):
    for width in (2.0, 8.0):
        with canvas(tmp_path / "x.png", width, 1, "flow_matching-independent on eight_gaussians_to_moons") as figure:
            figure.canvas.draw()
            assert figure._suptitle.get_window_extent().x1 <= figure.bbox.width


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


@pytest.mark.parametrize("size", [1, 3, 64, 179, 180, 256, 500, pytest.param(1200, marks=pytest.mark.slow)])
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


def test_pairs_of_columns_of_awkward_tables(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(50, 5)) * 10.0 ** np.arange(-4, 5, 2)
    broken = np.where(rng.random(data.shape) < 0.3, np.nan, data)
    for columns in (1, 2, 5):
        path = tmp_path / f"{columns}.png"
        pairs.pairs(path, [40 * f"${i}" for i in range(columns)], data[:, :columns], broken[:, :columns], "a title")
        assert path.stat().st_size > 3000
    pairs.pairs(tmp_path / "again.png", [40 * f"${i}" for i in range(5)], data, broken, "a title")
    assert (tmp_path / "again.png").read_bytes() == path.read_bytes()
    pairs.pairs(tmp_path / "none.png", ["x", "constant"], data[:, :2] * [1, 0], np.full((5, 2), np.inf))
