"""What the figures draw."""

from contextlib import contextmanager

import pytest

from flowbench.plotting.canvas import canvas
from flowbench.records.training import HistoryRow
from flowbench.report.judgement.ranking import ranking
from flowbench.report.views import figures
from tests.report.made_up import scope


@pytest.fixture
def axes(monkeypatch):
    """The panels of what is drawn."""
    found = []

    @contextmanager
    def watched(*arguments):
        with canvas(*arguments) as figure:
            yield figure
            found.extend(figure.axes)

    monkeypatch.setattr(figures, "canvas", watched)
    return found


def styles(of):
    return figures.looks(cell.label for cell in of.cells)


def test_objectives_that_differ_have_a_panel_each(tmp_path, axes):
    names = [f"moons-flow_matching-{name}" for name in ("ot", "independent")]

    def made(fall):
        history = [{0: [HistoryRow(i, 1, size * (1 + fall / (i + 1)), 0.1) for i in range(30)]} for size in (1, 100)]
        training = {key: {"history": of} for key, of in zip(names, history, strict=True)}
        return scope(tmp_path / "results", dict.fromkeys(names, ("moons", "flow_matching")), 1, training=training)

    of = made(1.0)
    assert figures.training_curves(tmp_path / "curves.png", of, styles(of)), "each falls from twice its end"
    assert [panel.get_title(loc="left") for panel in axes] == ["flow_matching-ot", "flow_matching-independent"]
    (low, high), (other_low, other_high) = (panel.get_ylim() for panel in axes)
    assert 0.9 < low < high < 2
    assert 90 < other_low < other_high < 200
    of = made(0.0)
    assert not figures.training_curves(tmp_path / "curves.png", of, styles(of))


def test_a_lost_seed_ends_in_a_cross(tmp_path, axes):
    of = scope(tmp_path / "results", {"moons-nice": ("moons", "nice")}, 2, diverged={"moons-nice": [1]})
    figures.training_curves(tmp_path / "curves.png", of, styles(of))
    assert [line.get_marker() for line in axes[0].lines] == ["None", "None", "x"]


def test_what_is_not_compared_is_hollow_and_off_the_frontier(tmp_path, axes):
    cells = {"digits-maf": ("digits", "maf"), "digits-cnf": ("digits", "cnf")}
    for examples, hollow in ((50, True), (20_000, False)):
        of = scope(tmp_path / "results", cells, examples={"digits-cnf": examples})
        axes.clear()
        assert figures.quality_against_cost(tmp_path / "cost.png", of, styles(of)) is hollow
        points = [line for line in axes[0].lines if line.get_marker() in ("<", "d")]
        assert [line.get_markerfacecolor() == "white" for line in points] == [False, hollow]
        shown = sorted(float(line.get_ydata()[0]) for line in points)
        assert shown == pytest.approx(sorted(of.value(cell, "bits_per_dim") for cell in of.cells))


def test_above_a_known_truth_the_axis_shows_what_is_above_it(tmp_path, axes):
    of = scope(tmp_path / "results", {"moons-maf": ("moons", "maf"), "moons-nice": ("moons", "nice")})
    figures.quality_against_cost(tmp_path / "cost.png", of, styles(of))
    assert axes[0].get_ylabel() == "bits per dim above the truth"
    assert axes[0].get_yscale() == "log"


def test_evaluations_are_drawn_by_method_with_the_distance_of_other_data(tmp_path, axes):
    of = scope(tmp_path / "results", {"moons-cnf": ("moons", "cnf")})
    figures.quality_against_evaluations(tmp_path / "evaluations.png", of, styles(of))
    euler, midpoint = axes
    assert list(euler.lines[0].get_ydata()) == [1 / n for n in (2, 4, 8, 16, 32, 64)]
    assert list(midpoint.lines[0].get_ydata()) == [1 / n**2 for n in (2, 4, 8, 16, 32, 64)]
    assert (euler.lines[1].get_xdata()[0], euler.lines[1].get_ydata()[0]) == (50, 1e-4)
    assert list(euler.lines[2].get_ydata()) == [2e-4, 2e-4]


def test_ranks_are_drawn_with_bars_as_wide_as_the_critical_difference(tmp_path, axes):
    found = ranking({f"data {i}": {"nice": 3.0, "glow": 1.0, "maf": 2.0} for i in range(8)})
    figures.mean_ranks(tmp_path / "ranks.png", found, figures.looks(found.means))
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["glow", "maf", "nice"]
    segment = axes[0].collections[0].get_segments()[0]
    assert segment[1][0] - segment[0][0] == pytest.approx(found.critical_difference)


def test_one_curve_far_above_does_not_squash_the_others():
    good = [[(0, 9.0), (10, 3.0), (20, 1.0 + i / 10)] for i in range(5)]
    low, high = figures._limits([*good, [(0, 1e9), (10, 1e8), (20, 1e8)]])
    assert low < 1.0
    assert 3.0 < high < 20
    assert figures._limits(good)[1] > 9.0, "nothing is cut off where no curve is apart"
