"""Two reports beside each other: what is told apart is better or worse, by the direction of its metric."""

import math

import pandas as pd
import pytest

from flowbench.report import frame as frames
from flowbench.report.judgement.changes import changes
from tests.report.made_up import frame

BEFORE = {
    "steady": {"bits_per_dim": [1.0, 1.001, 1.002]},
    "noisy": {"bits_per_dim": [1.0, 1.2, 1.4]},
    "moved": {"bits_per_dim": [1.0, 1.001, 1.002], "psnr": [20.0, 20.1, 20.2]},
    "gone": {"bits_per_dim": [1.0, 1.1, 1.2]},
}


def kinds(**now):
    found = changes(frame(BEFORE), frame(BEFORE | now), ["bits_per_dim", "psnr"])
    return {(change.cell, change.metric): change.kind for change in found}


def test_the_same_is_the_same():
    assert set(kinds().values()) == {"same"}


@pytest.mark.parametrize(
    ("metric", "values", "kind"),
    [
        ("bits_per_dim", [0.9, 0.901, 0.902], "better"),
        ("bits_per_dim", [1.1, 1.101, 1.102], "worse"),
        ("psnr", [25.0, 25.1, 25.2], "better"),
        ("psnr", [15.0, 15.1, 15.2], "worse"),
    ],
)
def test_what_is_told_apart_is_better_or_worse(metric, values, kind):
    found = kinds(moved=BEFORE["moved"] | {metric: values})
    assert found["moved", metric] == kind
    assert found["steady", "bits_per_dim"] == "same"


def test_what_the_seeds_explain_is_not_told_apart():
    assert kinds(noisy={"bits_per_dim": [1.05, 1.25, 1.45]})["noisy", "bits_per_dim"] == "not told apart"


def test_too_few_seeds_tell_nothing_apart():
    now = frame({"steady": {"bits_per_dim": [3.0, 3.001]}})
    assert [change.kind for change in changes(frame(BEFORE), now)] == ["not told apart"]


def test_cells_of_one_report_alone_are_not_compared():
    assert {change.cell for change in changes(frame(BEFORE), frame({"new": BEFORE["gone"]}))} == set()


def test_a_table_is_read_as_it_was_written(tmp_path):
    made = frame(BEFORE | {"endless": {"bits_per_dim": [math.inf, 1.0, 2.0]}}).assign(
        suite="tiny", unit="", device="cpu"
    )
    frames.write_csv(tmp_path / "results.csv", made)
    read = frames.read_csv((tmp_path / "results.csv").read_text(encoding="utf-8"))
    assert isinstance(read, pd.DataFrame)
    assert {change.kind for change in changes(read, made)} <= {"same", "not told apart"}
    assert frames.read_csv("") is None
    assert frames.read_csv("a,b\n1,2\n") is None
