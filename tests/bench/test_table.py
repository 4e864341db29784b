"""From a table of one's own to a report, and what must be decided before."""

import json
import shlex
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

from flowbench import bench, cli
from flowbench.bench import times
from flowbench.config import ConfigError
from flowbench.data import DataError
from tests import warm


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
