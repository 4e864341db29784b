"""The search for learning rates: equal effort, no trial twice, and a file that is read as it was written."""

import math

import pytest

from flowbench import config, tuning
from flowbench.config import suites
from flowbench.records import tuning as records
from flowbench.records.errors import RecordError
from tests.tiny_cells import BASELINE, ENERGY, STUDENT, SUITE, VECTORS, prepare

RATES, SHARES = (0.001, 0.02), (0.5, 1.0)


@pytest.fixture
def searched(tmp_path):
    """A function that searches, and says what it tried."""
    prepare(tmp_path)

    def search(keys):
        tried: list[records.Trial] = []
        suite = suites.load(SUITE, config.load(tmp_path / "params.yaml"), tmp_path)
        suites.write(suite, tmp_path)
        found = tuning.search(suite, keys, rates=RATES, shares=SHARES, seeds=2, say=tried.append, root=tmp_path)
        return tried, found

    return tmp_path, search


def test_each_flow_gets_as_many_trials_and_none_twice(searched):
    root, search = searched
    tried, found = search([VECTORS, BASELINE, ENERGY, STUDENT])
    of_cell = {key: [trial for trial in tried if trial.cell == key] for key in (VECTORS, BASELINE, ENERGY)}
    # Two rates, and two seeds of two numbers of steps, one of which is known from the rates.
    assert [len(trials) for trials in of_cell.values()] == [5, 0, 5]
    assert len(tried) == 10, "a student has no teacher here"
    for key in (VECTORS, ENERGY):
        best = tuning.best_rate(found, key, 30)
        losses = {trial.learning_rate: trial.loss for trial in of_cell[key][: len(RATES)]}
        assert losses.keys() == set(RATES)
        assert losses[best] == min(losses.values())
        assert {(t.learning_rate, t.steps) for t in of_cell[key][2:]} == {(best, 15), (best, 30)}
        assert all(trial.seed >= 1000 for trial in of_cell[key]), "no seed that a report could hold"
    path = root / "suites" / f"{SUITE}.trials.csv"
    assert [trial.identity for trial in records.read(path)] == sorted(trial.identity for trial in tried)
    before = path.read_bytes()
    assert search([VECTORS, ENERGY])[0] == []
    assert path.read_bytes() == before


def test_a_trial_has_the_loss_of_a_training_of_the_cell(searched):
    root, search = searched
    first = search([VECTORS])[0]
    (root / "suites" / f"{SUITE}.trials.csv").unlink()
    again = search([VECTORS])[0]
    assert [trial.loss for trial in first] == [trial.loss for trial in again]
    assert len({trial.loss for trial in first}) == len(first), "rates, steps and seeds make a difference"


def test_a_training_that_diverges_is_the_worst(tmp_path):
    trials = [records.Trial("a", rate, 30, 1000, loss, 1.0) for rate, loss in ((0.001, math.inf), (0.01, 2.0))]
    assert tuning.best_rate(trials, "a", 30) == 0.01
    lost = [trial._replace(loss=math.inf) for trial in trials]
    assert tuning.best_rate(lost, "a", 30) == 0.001
    records.write(tmp_path / "t.csv", lost)
    assert records.read(tmp_path / "t.csv") == sorted(lost)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "cell,learning_rate,steps,seed,loss,seconds\nx,fast,1,2,3,4\n"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    path = tmp_path / "tiny.trials.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"tiny\.trials\.csv: is no table of trials"):
        records.read(path)
    assert records.read(tmp_path / "missing.csv") == []


def test_the_report_depends_on_trials_where_there_are_any(searched):
    root, search = searched
    suite = suites.load(SUITE, config.load(root / "params.yaml"), root)
    assert '"trials": "flowbench/records/tuning.py"' in suites.expanded(suite, root)
    search([VECTORS])
    assert f'"trials": "suites/{SUITE}.trials.csv"' in suites.expanded(suite, root)
