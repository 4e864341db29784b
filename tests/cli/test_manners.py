"""How the command behaves to a shell, to a script and to a person who ends it."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from flowbench import certificates, config, verify
from flowbench.cli.arguments import duration
from flowbench.config import suites
from flowbench.core import Check
from flowbench.layers.rescaling import Rescaling
from flowbench.verify import Rerun
from tests.cli.commands import run

PROGRAM = "from flowbench.cli import main; main()"


def complete(line: str, **options) -> list[str]:
    """What bash is offered for the last word of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - (not line.endswith(" ")))}
    result = run(env={"_FLOWBENCH_COMPLETE": "complete_bash", **words}, prog_name="flowbench", **options)
    return result.output.split()


def test_a_shell_completes_cells_suites_and_flows():
    run("expand", "smoke")
    assert complete("flowbench run --suite smoke moons-iaf") == ["moons-iaf", "moons-iaf_distilled"]
    assert complete("flowbench run --suite smoke plan") == ["planar"]
    assert complete("flowbench export --suite smoke two_") == ["two_modes-planar"]
    assert complete("flowbench estimate sm") == ["smoke"]
    assert complete("flowbench open m") == ["mlflow"]
    assert complete("flowbench check real") == ["realnvp"]
    assert set(complete("flowbench e")) == {"estimate", "expand", "export"}


def test_a_shell_is_offered_nothing_where_there_is_nothing(params):
    params.write_text("flows: [", encoding="utf-8")
    assert complete("flowbench run moo") == []
    assert complete("flowbench check real") == []


def test_help_says_what_a_status_means():
    assert "2    a mistake in a name, a file or the configuration\n" in run("--help").output


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list"], ["list", "--nothing"], ["nothing"]])
def test_there_are_no_colours(arguments):
    result = run(*arguments, color=True, env={"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TERM": "xterm-256color"})
    assert result.output
    assert "\x1b" not in result.output


def test_ctrl_c_is_a_status_and_no_traceback(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "load_here", interrupted)
    result = run("list")
    assert (result.exit_code, result.output) == (130, "")


def test_a_reader_that_has_gone_gets_no_traceback():
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_a_list_imports_nothing_heavy():
    heavy = {"dvc", "matplotlib", "mlflow", "numpy", "pandas", "rich", "torch"}
    heavy |= {"flowbench.cli.doctor", "flowbench.cli.run"}  # other commands
    show = f"import atexit, sys; atexit.register(lambda: print(sorted({heavy} & sys.modules.keys()), file=sys.stderr))"
    process = subprocess.run([sys.executable, "-c", f"{show}; {PROGRAM}", "list"], capture_output=True, text=True)
    assert process.stderr == "[]\n"
    assert "moons" in process.stdout


def test_a_list_for_scripts():
    found = json.loads(run("list", "--json").output)
    params = config.load()
    assert found.keys() == {"data", "flows", "steps", "suites"}
    assert found["flows"] == params.flows
    assert found["steps"]["smoke"] == params.budgets["smoke"].train.steps
    smoke = suites.load("smoke", params)
    assert found["suites"]["smoke"]["cells"].keys() == smoke.cells.keys()
    assert found["suites"]["smoke"]["cells"]["moons-iaf_distilled"]["teacher"] == "moons-maf"


def test_a_check_for_scripts(monkeypatch):
    results = {1: Check(0, 0, 0, 0, 1e-9), 2: Check.impossible("encode raises")}
    subjects = [(f"{n}", Rescaling((n,)), (n,)) for n in results]
    monkeypatch.setattr(certificates, "subjects", lambda params, name: iter(subjects))
    monkeypatch.setattr(certificates, "certify", lambda module, shape, points: results[shape[0]])
    result = run("check", "--json")
    assert result.exit_code == 1
    right, wrong = json.loads(result.output)
    assert right == {"subject": "1", "round_trip_error": 0, "logdet_error": 1e-9, "passes": True, "faults": []}
    # JSON has no infinity.
    assert (wrong["round_trip_error"], wrong["passes"], wrong["faults"]) == (None, False, ["encode raises"])


def test_a_verification_for_scripts(monkeypatch):
    reruns = {"moons-maf": Rerun("equal"), "moons-iaf": Rerun("different", math.nan, "nll_nats of seed 0")}
    monkeypatch.setattr(verify, "verify", lambda suite, key, tolerance: reruns[key])
    result = run("verify", *reruns, "--suite", "smoke", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == [
        {"cell": "moons-maf", "agreement": "equal", "largest": 0, "where": ""},
        {"cell": "moons-iaf", "agreement": "different", "largest": None, "where": "nll_nats of seed 0"},
    ]


def test_times_are_in_words():
    shown = [duration(seconds) for seconds in (0.4, 40, 99.6, 7 * 60, 125 * 60 + 20)]
    assert shown == ["0 s", "40 s", "2 min", "7 min", "2 h 5 min"]


def test_the_templates_are_in_the_package():
    import tomllib

    from tests.cli.commands import ROOT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "cli/templates/*" in project["tool"]["setuptools"]["package-data"]["flowbench"]
    assert {path.name for path in Path(ROOT, "flowbench/cli/templates").iterdir()} == {"data.py.txt", "flows.py.txt"}
