"""``flowbench bench``: from a table of one's own to a report, in a folder of its own."""

import json
import shlex
import subprocess
import sys
from contextlib import nullcontext
from importlib import import_module
from io import StringIO

import numpy as np
import pytest
from typer.testing import CliRunner

from flowbench import api, bench, cli, data, flows
from flowbench.bench import settings, times
from flowbench.config import ConfigError, plugins
from flowbench.data import DataError
from tests import warm

RADIAL = """\
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.linear import InvertibleLinear


def build(event: Event) -> FlowModel:
    return vector_flow(event, [InvertibleLinear(event.dims)])
"""


LINES = [
    "Running stage 'stages/dvc.yaml:code':\n",
    "> python -m stages.code\n",
    "Updating lock file 'stages/dvc.lock'\n",
    "Stage 'suites/mine/dvc.yaml:train@mine-gaussian' didn't change, skipping\n",
    "Running stage 'suites/mine/dvc.yaml:train@mine-maf':\n",
    "a word of warning\n",
    "Running stage 'suites/mine/dvc.yaml:report':\n",
]
MAF, TRAIN = {"layers": 2, "hidden": [8]}, {"batch_size": 256, "learning_rate": 0.002}


class Process:
    """In place of `dvc repro`, which has ended well."""

    def __init__(self, command, **options):
        self.options, self.stdout = options, StringIO("".join(LINES))

    def wait(self):
        return 0


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table with a name that a path must quote, and a flow of one's own beside it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    rows = np.column_stack([x, x[:, 0] * rng.normal(size=400), rng.integers(0, 9, 400)])
    lines = ["a,b,c,d", *(f"{a},{b},{c},{d:.0f}" for a, b, c, d in rows)]
    path = tmp_path / "my table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "straight.py").write_text(RADIAL, encoding="utf-8")
    return path


@pytest.fixture
def quick(monkeypatch):
    """No certificates before a benchmark, and no expansion after it: the report of a table has both."""
    monkeypatch.setattr(bench.certificates, "require_sound", lambda *_: None)
    monkeypatch.setattr(bench.subprocess, "run", lambda *_, **__: None)


def test_a_table_comes_to_a_report(table, monkeypatch):
    # Which baselines stand beside the flows is tested below.
    options = ["--flows", "straight.py", "--no-baselines", "--minutes", "0.1", "--seeds", "1", "--no-open"]
    options += ["--dequantise", "d"]
    run = CliRunner().invoke(cli.app, ["bench", table.name, *options], env=warm.server())
    assert run.exit_code == 0, (run.output, run.exception)
    folder = table.parent / "my-table-bench"
    assert (folder / "reports" / "my-table" / "index.html").is_file()
    assert "my-table-bench/reports/my-table/index.html: made in" in run.output
    text = (folder / "results/my-table/my-table-straight/metrics.json").read_text(encoding="utf-8")
    assert json.loads(text)["status"] == "finished"
    assert "  400 rows of 4 columns are used: 320 for train, 40 for validation, 40 for test\n" in run.output
    assert "  straight " in run.output
    # It is a pipeline of its own, up to date, and made of files of its own.
    status = [sys.executable, "-m", "dvc", "status", "suites/my-table/dvc.yaml"]
    assert "up to date" in subprocess.run(status, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert (folder / "plugins/flows/straight.py").is_file()
    # Another table under the same name goes on in the folder.
    again = bench.prepare(table, ["straight.py"], seeds=1, options={"dequantise": ["d"]})
    assert again.folder.absolute() == folder
    with pytest.raises(ConfigError, match="my-table-bench: holds straight, too; say --flows "):
        bench.prepare(table, ["gaussian"], seeds=1, options={"dequantise": ["d"]})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "whole numbers alone in 'd'; name each under dequantise"),
        ({"labels": ["mav"]}, "'mav': no such flow; did you mean 'maf'"),  # before the table
        (
            {"options": {"as_they_are": ["d"]}, "labels": ["flow_autoencoder"]},
            "flow_autoencoder: build has no default for ",
        ),
        ({"options": {"as_they_are": ["d"]}, "labels": ["other.py"]}, "other.py: no such file"),
        ({"options": {"columns": ["e"]}}, "my table.csv has no column 'e'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_run(table, quick, arguments, message):
    with pytest.raises((ConfigError, DataError), match=message) as error:
        bench.prepare(table, **{"labels": ["gaussian"]} | arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("flow", "told"), [(2.5, True), (1.5, False)])
def test_a_flow_that_beats_no_baseline_is_told(tmp_path, capsys, flow, told):
    rows = [
        f"{name},{metric},{value}"
        for name, value in (("maf", flow), ("gaussian", 3), ("gaussian_mixture", 2))
        for metric in ("nll_nats", "bits_per_dim")
    ]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(["flow,metric,value", *rows]), encoding="utf-8")
    import_module("flowbench.cli.bench")._print_scores(path)
    assert ("No flow beats gaussian_mixture, " in capsys.readouterr().out) == told


def test_a_folder_of_somebody_else_is_left_alone(table):
    other = table.parent / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("1", encoding="utf-8")
    with pytest.raises(ConfigError, match="thesis: holds something else; choose another with --folder"):
        bench.prepare(table, ["gaussian"], options={"as_they_are": ["d"]}, folder=other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


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

    from flowbench.config import params

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
    from flowbench.config import params

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


def odd(path):
    """A table that lacks a value, repeats a row, and has a constant column and two of whole numbers."""
    rng = np.random.default_rng(0)
    rows = [
        f"{a},{b},7.5,{c},{c % 2}" for (a, b), c in zip(rng.normal(size=(300, 2)), rng.integers(0, 9, 300), strict=True)
    ]
    rows[3] = ",1.5,7.5,3,1"
    rows[9] = rows[8]
    path.write_text("\n".join(["a,b,k,rings,the sex", *rows]) + "\n", encoding="utf-8")


def test_all_that_must_be_decided_is_told_together_with_the_command_that_goes_through(table, monkeypatch, quick):
    odd(table)
    arguments = ["bench", table.name, "--flows", "maf", "--no-open", "--dry-run", "--minutes", "0.1"]
    refused = CliRunner().invoke(cli.app, arguments)
    head, *lines, last = str(refused.exception).splitlines()
    assert head == "my table.csv: 4 things must be decided:"
    assert [line.partition(": ")[0].strip() for line in lines] == [
        "no value in row 5, column 'a'",
        "1 of 299 rows stand in it before",
        "whole numbers alone in 'rings', 'the sex'",
        "one value alone in 'k'",
    ]
    for option in ("--missing drop", "--repeated keep", "--columns a,b,rings,the sex", "--as-they-are rings,the sex"):
        assert option in " ".join(lines)
    told, _, command = last.partition(": ")
    assert told == "This goes through"
    words = shlex.split(command)
    assert words[:3] == ["flowbench", "bench", table.name]
    assert {"--dry-run", "--no-open", "--flows", "maf"} < set(words)
    monkeypatch.setattr(bench, "probe", lambda *_: times.Probe(0.01, 0.1, 0.1))
    assert CliRunner().invoke(cli.app, words[1:]).exit_code == 0
    assert (table.parent / "my-table-bench" / "params.yaml").is_file()


def test_what_no_option_mends_is_told_beside_what_must_be_decided(table):
    rng = np.random.default_rng(0)
    rows = [f"{a},{1e9 + b * 1e3:.3f}" for a, b in rng.normal(size=(300, 2))]
    rows[3] = rows[2]
    table.write_text("\n".join(["a,b", *rows]) + "\n", encoding="utf-8")
    told = str(CliRunner().invoke(cli.app, ["bench", table.name]).exception)
    assert "1 thing must be decided:\n  1 of 300 rows stand in it before: --repeated drop" in told
    assert "No option mends this: " in told
    assert "goes through" not in told


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        ([], bench.DEFAULT_FLOWS),
        (["--flows", "maf"], ("gaussian", "gaussian_mixture", "maf")),
        (["--flows", "maf,gaussian", "--no-baselines"], ("maf", "gaussian")),
    ],
    ids=" ".join,
)
def test_baselines_stand_beside_the_flows(table, monkeypatch, arguments, labels):
    asked = []

    def prepare(file, labels, **options):
        asked.append(tuple(labels))
        raise ConfigError("enough")

    monkeypatch.setattr(bench, "prepare", prepare)
    CliRunner().invoke(cli.app, ["bench", table.name, *arguments])
    assert asked == [tuple(labels)]


def test_a_log_file_has_no_bars(table, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(bench, "warm", nullcontext)
    started = []
    monkeypatch.setattr(
        "subprocess.Popen", lambda *args, **options: started.append(Process(*args, **options)) or started[0]
    )
    bench.Bench("mine", table.parent, None).run()
    assert started[0].options["env"]["TQDM_DISABLE"] == "1"


def test_each_stage_is_told_and_each_part_has_its_time(table, monkeypatch):
    monkeypatch.setattr(bench, "warm", nullcontext)
    monkeypatch.setattr("subprocess.Popen", Process)
    clock = iter([0.0, 1.0, 3.0, 9.0, 10.0])
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(clock))
    told = []
    seconds = bench.Bench("mine", table.parent, None).run(told.append)
    assert told == ["code", "train@mine-gaussian is up to date", "train@mine-maf", "a word of warning", "report"]
    assert seconds == {"starting DVC": 1.0, "preparing the data": 2.0, "training": 6.0, "the report": 1.0}


def test_what_was_changed_in_the_folder_is_kept(table, monkeypatch, quick):
    from flowbench.config import params

    monkeypatch.setattr(bench, "probe", lambda *_: times.Probe(0.01, 0.0, 0.0))

    def again(**options):
        told = []
        made = bench.prepare(table, ["maf", "gaussian"], options={"as_they_are": ["d"]}, tell=told.append, **options)
        return params.load(made.folder / "params.yaml"), [line for line in told if "--fresh" in line]

    first, _ = again()
    text = (path := table.parent / "my-table-bench/params.yaml").read_text().replace("layers: 5", "layers: 3")
    path.write_text(text.replace("batch_size: 256", "batch_size: 64", 1), encoding="utf-8")
    for options in ({}, {"minutes": 20}):  # with the same steps, and with others
        kept, told = again(**options)
        assert told == ["my-table-bench/params.yaml: keeps what was changed of maf; --fresh forgets it"]
        assert kept.flows["maf"]["table"] == first.flows["maf"]["table"] | {"layers": 3}
        assert kept.budgets["maf"].train.batch_size == 64
    assert kept.budgets["maf"].train.steps > 1.5 * first.budgets["maf"].train.steps
    forgotten, told = again(fresh=True)
    assert (forgotten.flows, forgotten.budgets["maf"].train.batch_size, told) == (first.flows, 256, [])


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


def test_a_flow_without_defaults_is_told_what_to_do(table):
    bare = RADIAL.replace("Event)", "Event, *, layers: int, width: int)")
    (table.parent / "bare.py").write_text(bare, encoding="utf-8")
    told = r"^flow bare: build has no default for layers, width; give it one, or write flows\.bare\.table"
    with pytest.raises(ConfigError, match=told):
        bench.prepare(table, ["bare.py"], options={"as_they_are": ["d"]})


def test_a_flow_of_the_repository_is_found_from_anywhere(table, monkeypatch):
    """Also by its file, which is not taken for a second flow of its name."""
    root = table.parent / "clone"
    own = root / "plugins" / "flows" / "mynew.py"
    own.parent.mkdir(parents=True)
    own.write_text(RADIAL, encoding="utf-8")
    before = list(flows.__path__)
    monkeypatch.setattr(settings, "ROOT", root)
    for names in ({}, {"mynew": own}):
        with settings.found(names):
            assert "mynew" in flows.names()
            assert plugins.load("flowbench.flows", "mynew", flows.__path__).build
        assert flows.__path__ == before
