"""``flowbench bench``: from a table of one's own to a report, in a folder of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from flowbench import bench, cli
from flowbench.config import ConfigError
from flowbench.data import DataError

RADIAL = """\
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.linear import InvertibleLinear


def build(event: Event) -> FlowModel:
    return vector_flow(event, [InvertibleLinear(event.dims)])
"""


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


def test_a_table_comes_to_a_report(table, monkeypatch):
    options = ["--minutes", "0.1", "--seeds", "1", "--no-open", "--dequantise", "d"]
    run = CliRunner().invoke(cli.app, ["bench", table.name, "--flows", "gaussian,maf,straight.py", *options])
    assert run.exit_code == 0, (run.output, run.exception)
    folder = table.parent / "my-table-bench"
    assert (folder / "reports" / "my-table" / "index.html").is_file()
    assert "my-table-bench/reports/my-table/index.html: made in" in run.output
    for label in ("gaussian", "maf", "straight"):
        metrics = json.loads((folder / f"results/my-table/my-table-{label}/metrics.json").read_text(encoding="utf-8"))
        assert metrics["status"] == "finished"
        assert f"  {label} " in run.output
    # It is a pipeline of its own, up to date, and made of files of its own.
    status = [sys.executable, "-m", "dvc", "status", "suites/my-table/dvc.yaml"]
    assert "up to date" in subprocess.run(status, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert (folder / "plugins/flows/straight.py").is_file()
    # Another table under the same name goes on in the folder.
    again = bench.prepare(table, ["gaussian"], seeds=1, options={"dequantise": ["d"]})
    assert again.folder.absolute() == folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "whole numbers alone in 'd'; name each under dequantise"),
        ({"options": {"as_they_are": ["d"]}, "labels": ["mav"]}, "'mav': no such flow; did you mean 'maf'"),
        ({"options": {"as_they_are": ["d"]}, "labels": ["flow_matching"]}, "no such configuration for tables"),
        ({"options": {"as_they_are": ["d"]}, "labels": ["other.py"]}, "other.py: no such file"),
        ({"options": {"columns": ["e"]}}, "my table.csv has no column 'e'"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_run(table, arguments, message):
    with pytest.raises((ConfigError, DataError), match=message) as error:
        bench.prepare(table, **{"labels": ["gaussian"]} | arguments)
    assert "\n" not in str(error.value)


def test_a_folder_of_somebody_else_is_left_alone(table):
    other = table.parent / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("1", encoding="utf-8")
    with pytest.raises(ConfigError, match="thesis: holds something else; choose another with --folder"):
        bench.prepare(table, ["gaussian"], options={"as_they_are": ["d"]}, folder=other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def test_each_flow_has_an_equal_share_of_the_time(table, monkeypatch):
    monkeypatch.setattr(bench, "_seconds_a_step", lambda flow, *_: {"maf": 0.01, "glow": 0.1, "gaussian": 0.0}[flow])
    made = bench.prepare(
        table, ["maf", "glow", "gaussian"], minutes=1, seeds=2, options={"as_they_are": ["d"], "columns": ["a", "d"]}
    )
    from flowbench.config import params

    budgets = params.load(made.folder / "params.yaml").budgets
    assert 9 < budgets["maf"].train.steps / budgets["glow"].train.steps < 11
    assert budgets["gaussian"].train.steps == 1
