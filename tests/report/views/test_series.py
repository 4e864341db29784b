"""What the charts draw, and that both ways of drawing draw it."""

import math
from itertools import pairwise

import pytest

from flowbench.plotting.canvas import canvas
from flowbench.records.training import HistoryRow
from flowbench.report.judgement.answers import MARGIN
from flowbench.report.views import figures, series, top
from tests.report.made_up import MOONS


@pytest.fixture
def axes(monkeypatch):
    """The panels of what is drawn."""
    from contextlib import contextmanager

    found = []

    @contextmanager
    def watched(*arguments):
        with canvas(*arguments) as figure:
            yield figure
            found.extend(figure.axes)

    monkeypatch.setattr(figures, "canvas", watched)
    return found


def rows(losses):
    return [HistoryRow(i + 1, loss, loss, 0.1) for i, loss in enumerate(losses)]


def test_curves_are_in_the_unit_of_the_table(made):
    of = made({"moons-nice": ("moons", "nice"), "moons-flow_matching": ("moons", "flow_matching")})
    table = series.curves(of)
    assert dict(zip(table["flow"], table["unit"], strict=True)) == {
        "nice": "bits per dim",
        "flow_matching": "squared error of velocities",
    }
    nats = [loss for _, loss in series.losses(of.cells[0].record.training.history[0])]
    last = table[table["flow"] == "nice"].iloc[-1]
    of_seeds = [series.losses(rows)[-1][1] for rows in of.cells[0].record.training.history.values()]
    assert nats[-1] == of_seeds[0]
    shown = [last["loss"], last["low"], last["high"]]
    expected = [sum(of_seeds) / 3, min(of_seeds), max(of_seeds)]
    assert shown == pytest.approx([nats / (2 * math.log(2)) for nats in expected], rel=1e-4)


def test_long_curves_are_thinned_and_keep_their_ends(made):
    table = series.curves(made({"moons-nice": ("moons", "nice")}, seeds=1, rows=2000))
    assert len(table) < 70
    assert table["step"].iloc[-1] == 20_000


@pytest.mark.parametrize(
    ("losses", "settled"),
    [
        ([0.9**i for i in range(100)], True),
        ([100.0 - i for i in range(100)], False),
        ([1.0] * 100, True),
        ([1.0, 0.5], None),
        ([1.0] * 10, None),  # too few for a plateau, of which chance makes some
        ([10.0 - i for i in range(10)], False),
        ([1.0] * 20, True),
    ],
)
def test_a_plateau_is_where_the_last_fifth_brings_little(made, losses, settled, monkeypatch):
    (cell,) = made({"moons-nice": ("moons", "nice")}, seeds=1).cells
    cell.record.training.__dict__["history"] = {0: rows(losses)}
    assert series.settled(cell) is settled


def test_one_curve_far_above_does_not_squash_the_others(made):
    import pandas as pd

    def table(rows):
        columns = ["flow", "step", "loss", "lost"]
        return pd.DataFrame(rows, columns=columns).assign(
            low=lambda found: found["loss"], high=lambda found: found["loss"]
        )

    good = [(f"good{i}", step, loss, False) for i in range(5) for step, loss in [(0, 9.0), (10, 3.0), (20, 1 + i / 10)]]
    bad = [("bad", step, loss, False) for step, loss in [(0, 1e9), (10, 1e8), (20, 1e8)]]
    cross = [("good0", 5, 1e12, True)]
    low, high = series.limits(table(good + bad + cross))
    assert low < 1.0
    assert 3.0 < high < 20
    assert series.limits(table(good))[1] > 9.0, "nothing is cut off where no curve is apart"
    assert series.limits(table(cross))[0] < 1e12 < series.limits(table(cross))[1]


def test_a_lost_seed_ends_in_a_cross_within_the_axes(tmp_path, made, axes):
    of = made({"moons-nice": ("moons", "nice")}, seeds=2, diverged={"moons-nice": [1]})
    table, looks = series.curves(of), series.looks(["nice"])
    figures.training(tmp_path / "curves.png", table, looks, title="loss", domain=series.limits(table))
    assert [line.get_marker() for line in axes[0].lines] == ["None", "x"]
    assert axes[0].lines[-1].get_ydata()[0] <= axes[0].get_ylim()[1]
    kept = series.losses(of.cells[0].record.training.history[0])
    assert list(axes[0].lines[0].get_xdata()) == [step for step, _ in kept], "the line is that of the other seed"


def test_a_flow_is_one_line_in_the_band_of_its_seeds(tmp_path, made, axes, monkeypatch):
    (cell,) = (of := made({"moons-flow_matching": ("moons", "flow_matching")})).cells
    losses = {0: [3.0, 2.0, 1.0], 1: [5.0, 4.0, 3.0], 2: [4.0, math.nan, 5.0]}
    cell.record.training.__dict__["history"] = {seed: rows(values) for seed, values in losses.items()}
    table = series.curves(of)
    assert list(table["step"]) == [1, 3], "no line jumps where a seed has no finite loss"
    assert table[["loss", "low", "high"]].to_numpy().tolist() == [[4, 3, 5], [3, 1, 5]]
    looks = series.looks(["flow_matching"])
    figures.training(tmp_path / "curves.png", table, looks, title="loss", domain=series.limits(table))
    assert [list(line.get_ydata()) for line in axes[0].lines] == [[4, 3]]
    band = axes[0].collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (1, 5)


def test_a_sentence_says_how_the_flows_learn(made):
    of = made(MOONS, seeds=1)
    curves = {
        "nice": [2.0, *[1.0] * 19],
        "realnvp": [20.0 - i for i in range(20)],
        "maf": [9.0, 8.5, 8.0, 7.5],
    }
    for cell in of.cells:
        cell.record.training.__dict__["history"] = {0: rows(curves.get(cell.label, []))}
    assert series.settled(of.cells[0])
    for cell in of.cells:
        cell.record.training.__dict__["loss_unit"] = "nats"
    bits = {flow: loss / (2 * math.log(2)) for flow, loss in {"nice": 1.0, "realnvp": 1.0, "maf": 7.5}.items()}
    assert bits["maf"] > min(bits.values()) + MARGIN
    assert series.pace(of) == {"nice": 2.0, "realnvp": 20.0, "maf": None}
    said = top.learnt(of)
    assert said.startswith("nice is the first within 0.05 bits per dim of the lowest loss, after ")
    assert " s and 2 steps; realnvp is the last, after " in said
    assert said.endswith(
        "maf never comes so near. realnvp was still learning when training stopped. nice has reached a plateau. "
        "There are too few losses to say whether maf was still learning."
    )
    assert top.learnt(of.only(lambda cell: cell.baseline)) == ""


def test_speed_stands_against_what_is_above_the_truth_and_what_cannot_be_best_is_hollow(tmp_path, made, axes):
    of = made(values={"moons-nice": {"invertibility_error_max": 1.0}})
    table = series.tradeoff(of)
    assert set(table["of"]) == {"bits per dim above the truth"}
    assert dict(zip(table["flow"], table["good"], strict=True)) == {
        key.removeprefix("moons-"): key != "moons-nice" for key in MOONS
    }
    across, up = series.domains(table)
    looks = series.looks(table["flow"])
    figures.tradeoff(tmp_path / "cost.png", table, looks, title="bits", log=True, across=across, domain=up)
    faces = [line.get_markerfacecolor() for line in axes[0].lines]
    assert [face == "white" for face in faces] == [flow == "nice" for flow in table["flow"]]
    assert axes[0].get_xlim() == pytest.approx(across)
    assert axes[0].get_ylim() == pytest.approx(up)


def test_what_says_nothing_is_not_drawn(made):
    values = {"moons-nice": {"bits_per_dim": [1e30] * 3}, "moons-maf": {"bits_per_dim": [math.nan] * 3}}
    assert set(series.tradeoff(made(values=values))["flow"]) == {"realnvp", "gaussian"}


def test_what_cannot_be_best_and_lies_far_above_leaves_room_for_the_others(made):
    values = {"moons-nice": {"invertibility_error_max": 1.0, "bits_per_dim": [2e4] * 3}}
    assert set(series.tradeoff(made(values=values))["flow"]) == {"realnvp", "maf", "gaussian"}
    del values["moons-nice"]["invertibility_error_max"]  # what can be best is always shown
    assert "nice" in set(series.tradeoff(made(values=values))["flow"])


def test_no_label_hides_another(made):
    values = {key: {"sample_samples_per_second": 1000.0, "bits_per_dim": [0.3, 0.31, 0.32]} for key in MOONS}
    values["moons-gaussian"]["sample_samples_per_second"] = 2000.0
    table = series.tradeoff(made(values=values))
    labels = sorted(table.loc[table["flow"] != "gaussian", "label"])
    assert len(labels) == 3
    assert all(b > a for a, b in pairwise(labels))


def test_evaluations_are_drawn_by_method_with_the_distance_of_other_data(tmp_path, made, axes):
    table = series.evaluations(made({"moons-cnf": ("moons", "cnf")}))
    figures.evaluations(tmp_path / "evaluations.png", table, series.looks(["cnf"]), title="distance", others=2e-4)
    euler, midpoint = axes
    assert list(euler.lines[0].get_ydata()) == [1 / n for n in (2, 4, 8, 16, 32, 64)]
    assert list(midpoint.lines[0].get_ydata()) == [1 / n**2 for n in (2, 4, 8, 16, 32, 64)]
    assert (euler.lines[1].get_xdata()[0], euler.lines[1].get_ydata()[0]) == (50, 1e-4)
    assert list(euler.lines[2].get_ydata()) == [2e-4, 2e-4]
