"""How the time is shared among the flows, and how it is foretold."""

import pytest
from typer.testing import CliRunner

from flowbench import api, bench, cli, data
from flowbench.bench import times
from flowbench.config import params

MAF, TRAIN = {"layers": 2, "hidden": [8]}, {"batch_size": 256, "learning_rate": 0.002}


def test_each_flow_has_an_equal_share_of_the_time(table, monkeypatch, quick):
    seconds = {"maf": (0.01, 1.0, 5.0), "glow": (0.1, 1.0, 5.0), "gaussian": (0.0, 2.0, 5.0)}
    monkeypatch.setattr(bench, "probe", lambda flow, *_: times.Probe(*seconds[flow]))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})

    def made(minutes):
        return bench.prepare(
            table,
            ["maf", "glow", "gaussian"],
            minutes=minutes,
            seeds=4,
            options={"as_they_are": ["d"], "columns": ["a", "d"]},
        )

    long = made(10)
    budgets = params.load(long.folder / "params.yaml").budgets
    assert 9 < budgets["maf"].train.steps / budgets["glow"].train.steps < 11
    assert budgets["gaussian"].train.steps == 1
    # Two seeds on each core. The parts are the whole.
    assert long.plan.shares.measuring == 2 * 15
    assert sum(long.plan.shares) == pytest.approx(600, abs=1)
    steps = {label: budgets[label].train.steps for label in ("maf", "glow")}
    assert long.plan.shares.training == pytest.approx(2 * (4 + 0.01 * steps["maf"] + 0.1 * steps["glow"]))
    # Too little time for the fewest steps is told, and not hidden.
    short = made(0.1)
    assert {budget.train.steps for budget in params.load(short.folder / "params.yaml").budgets.values()} == {100, 1}
    assert sum(short.plan.shares) > 60
    assert (long.plan.enough, short.plan.enough > 1) == (0, True)
    assert made(short.plan.enough).plan.steps["glow"] == pytest.approx(times.USEFUL_STEPS, abs=2)


def test_the_same_benchmark_goes_on_with_its_budgets(table, monkeypatch, quick):
    """What was trained stays so, though the steps of the second call take another time."""

    def steps(step, **options):
        monkeypatch.setattr(bench, "probe", lambda *_: times.Probe(step, 0.0, 0.0))
        made = bench.prepare(table, ["maf"], options={"as_they_are": ["d"]}, **options)
        return params.load(made.folder / "params.yaml").budgets["maf"].train.steps

    first = steps(0.1)
    assert steps(0.2) == first
    assert steps(0.2, minutes=20) > 1.5 * steps(0.2, minutes=10)


def test_a_probe_times_what_a_flow_does(table):
    source = data.load("mine", source="table", path=str(table), as_they_are=["d"])
    splits = bench.checked(source)
    flow, baseline = (
        times.probe(name, options, TRAIN, source, splits) for name, options in (("maf", MAF), ("gaussian", {}))
    )
    assert 0 < flow.step < 1
    assert (baseline.step, baseline.beside > 0) == (0, True)
    assert min(flow.measuring, baseline.measuring) > times.SPEEDS


def test_timing_keeps_to_its_limit(table, monkeypatch):
    """A flow whose steps take long is timed by fewer."""
    source = data.load("mine", source="table", path=str(table), as_they_are=["d"])
    splits, asked = bench.checked(source), []
    now = [0.0]

    def fit(*_, steps, **__):
        asked.append(steps)
        now[0] += steps

    monkeypatch.setattr(api, "fit", fit)
    monkeypatch.setattr(api, "score", lambda *_, **__: {})
    monkeypatch.setattr(times.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(times.time, "process_time", lambda: now[0] / 2)
    probe = times.probe("maf", MAF, TRAIN, source, splits, limit=20.0)
    assert asked == [2, 2, 8]
    assert probe.step == 0.5  # of the processor
    times.probe("maf", MAF, TRAIN, source, splits, limit=1000.0)
    assert asked[-1] == 22


def test_too_few_minutes_are_told_with_what_would_do(table, monkeypatch, quick):
    monkeypatch.setattr(bench, "probe", lambda flow, *_: times.Probe(float(flow == "maf"), 0.0, 0.0))
    options = ["--as-they-are", "d", "--flows", "maf", "--seeds", "1", "--dry-run", "--minutes"]
    told = CliRunner().invoke(cli.app, ["bench", table.name, *options, "2"]).output
    assert "timing maf, 3 of 3, for about 4 s at most" in told
    assert "steps: maf 100\n" in told
    assert "maf will be barely trained: for 500 steps of each flow, say --minutes 9\n" in told
    enough = CliRunner().invoke(cli.app, ["bench", table.name, *options, "20"]).output
    assert "steps: maf 1," in enough
    assert "barely" not in enough
