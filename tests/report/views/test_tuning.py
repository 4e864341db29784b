"""The tables of trials."""

from flowbench.records.tuning import Trial
from flowbench.report.views import tuning


def trials(of, cell, by_rate, now, twice):
    """One trial for each rate; then, at the rate of 0.004, some with the budget's steps and some with twice as many."""
    steps = of.by_key[cell].params["budget"]["steps"]
    rates = [Trial(cell, rate, steps, 1000, loss, 1.0) for rate, loss in by_rate.items()]
    more = [Trial(cell, 0.004, steps, 1001 + i, loss, 1.0) for i, loss in enumerate(now)]
    return [*rates, *more, *(Trial(cell, 0.004, 2 * steps, 1000 + i, loss, 1.0) for i, loss in enumerate(twice))]


def test_the_best_rate_is_marked_and_more_steps_help_only_beyond_the_interval(made):
    of = made()
    found = tuning.tables(
        of,
        [
            *trials(of, "moons-nice", {0.001: 2.0, 0.004: 1.5}, [1.51, 1.49], [1.2, 1.21, 1.19]),
            *trials(of, "moons-realnvp", {0.001: 1.0, 0.004: 1.1}, [1.12, 1.08], [1.09, 1.1, 1.1]),
        ],
    )
    rates, by_steps = (table.frame for table in found)
    assert list(rates.index) == ["moons-nice", "moons-realnvp"], "a cell without trials has no row"
    marks = {key: [entry.mark for entry in rates.loc[key][["0.001", "0.004"]]] for key in rates.index}
    assert marks == {"moons-nice": ["", "best"], "moons-realnvp": ["best", ""]}
    helps = by_steps["more steps help"]
    assert helps["moons-nice"].text.startswith("by ")
    assert helps["moons-realnvp"].text == "no"


def test_without_trials_there_is_no_table(made):
    assert tuning.tables(made(), []) == []
