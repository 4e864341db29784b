"""The flowbench command, in a folder with a params.yaml of its own."""

import difflib
import re
import sys
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from flowbench import certify, cli, config, verify
from flowbench.core import Check
from flowbench.layers import actnorm
from flowbench.layers.rescaling import Rescaling
from flowbench.verify import Comparison, RecordError

ROOT = Path(__file__).parents[1]
CHECKED = re.compile(r"^(.+?) +(\S+e[-+]\d+) +(\S+e[-+]\d+)  (ok|FAILED)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def params(tmp_path, monkeypatch) -> Path:
    """A copy of params.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    return path


def run(*arguments: str):
    return CliRunner().invoke(cli.app, arguments)


@pytest.fixture
def fail(monkeypatch, capsys):
    """The single line with which the command refuses its arguments."""

    def refused(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["flowbench", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.count("\n") == 1
        return output.err

    return refused


@pytest.mark.parametrize(
    "command", [[], ["list"], ["suite"], ["check"], ["verify"], ["digest"]], ids=lambda command: " ".join(command)
)
def test_help(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    if not command:
        assert all(word in result.output for word in ("list", "suite", "check", "verify", "digest"))


def test_list_names_everything():
    result = run("list")
    assert result.exit_code == 0
    known = config.load(ROOT / "params.yaml")
    words = set(result.output.replace(",", " ").replace(":", " ").split())
    assert words >= {*known.flows, *known.data, *known.budgets, *known.suites}
    assert words >= {key for suite in known.suites.values() for key in suite.all_cells}
    (active,) = (line for line in result.output.splitlines() if "<- active" in line)
    assert active.startswith(f"Suite {known.active.name}: ")


def test_list_follows_the_configuration(params):
    params.write_text(params.read_text(encoding="utf-8").replace("active: *laptop", "active: *smoke"), encoding="utf-8")
    (active,) = (line for line in run("list").output.splitlines() if "<- active" in line)
    assert active.startswith("Suite smoke: ")


@pytest.mark.parametrize("name", ["smoke", "toy", "laptop"])
def test_suite_changes_one_line(params, name):
    before = params.read_text(encoding="utf-8").splitlines()
    result = run("suite", name)
    assert result.exit_code == 0
    assert result.output.startswith(f"{name}: ")
    after = params.read_text(encoding="utf-8").splitlines()
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
    assert changed == ([] if name == "laptop" else ["- active: *laptop", f"+ active: *{name}"])
    assert config.load(params).active.name == name
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


def test_an_unknown_suite_changes_nothing(params, fail):
    before = params.read_bytes()
    assert fail("suite", "lapto") == "params.yaml: suites = 'lapto': no such suite; did you mean 'laptop'?\n"
    assert params.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("active: *laptop", "active:\n  *laptop"), ("active: *laptop", '"active": *laptop'), ("toy: &toy", "toy: &other")],
    ids=["two lines", "quotes", "an anchor of another name"],
)
def test_a_file_that_cannot_be_switched_stays_as_it_is(params, fail, old, new):
    params.write_text(params.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    before = params.read_bytes()
    assert "active: cannot become *toy" in fail("suite", "toy")
    assert params.read_bytes() == before
    assert [path.name for path in params.parent.iterdir()] == ["params.yaml"]


def test_a_mistake_in_the_configuration_is_one_line(params, fail):
    params.write_text(
        re.sub(r"batch_size: \d+", "batch_size: -1", params.read_text(encoding="utf-8"), count=1), encoding="utf-8"
    )
    for command in (["list"], ["suite", "smoke"], ["check"]):
        assert "train.batch_size = -1: input should be greater than 0" in fail(*command)


def test_no_configuration_at_all(params, fail):
    params.unlink()
    for command in (["list"], ["suite", "smoke"], ["check"]):
        assert fail(*command) == "params.yaml: is not in this folder; run it in the repository's root\n"


def test_a_digest_is_of_what_was_run(fail):
    assert fail("digest") == "dvc.lock: has no cell of the suite laptop; make them with: dvc repro\n"


def test_version():
    assert re.fullmatch(r"flowbench \d+\.\d+\.\d+\n", run("--version").output)


def test_check_of_one_flow():
    result = run("check", "realnvp", "--points", "2")
    assert result.exit_code == 0
    checked = CHECKED.findall(result.output)
    configurations = config.load(ROOT / "params.yaml").flows["realnvp"]
    assert {name.partition(" on ")[0] for name, *_ in checked} == {f"realnvp/{name}" for name in configurations}
    assert {verdict for *_, verdict in checked} == {"ok"}
    assert all(float(trip) < 1e-8 and float(logdet) < 1e-8 for _, trip, logdet, _ in checked)


def test_check_without_a_name_takes_every_layer_and_flow(monkeypatch):
    # That they pass is tested elsewhere, at length.
    monkeypatch.setattr(certify, "certify", lambda module, shape, points: Check(0, 0, 0, 0, points * 1e-9))
    checked = CHECKED.findall(run("check", "--points", "3").output)
    assert [name for name, *_ in checked] == [name for name, *_ in certify.subjects(config.load())]
    assert {logdet for _, _, logdet, _ in checked} == {"3.0e-09"}


def test_a_failed_check_ends_with_an_error(monkeypatch):
    class Wrong(Rescaling):
        def encode(self, x):
            z, logdet = super().encode(x)
            return z, -logdet

    subjects = [("right", Rescaling((2,)), (2,)), ("wrong", Wrong((2,)), (2,))]
    monkeypatch.setattr(certify, "subjects", lambda params, flow: iter(subjects))
    result = run("check")
    assert result.exit_code == 1
    assert [(name, verdict) for name, *_, verdict in CHECKED.findall(result.output)] == [
        ("right", "ok"),
        ("wrong", "FAILED"),
    ]
    assert re.search(
        r"FAILED\n    encode's log-determinant: expected (\S+) \(autograd\), found (?!\1)\S+\n", result.output
    )


def test_check_of_an_unknown_flow(fail):
    assert fail("check", "glwo") == "argument 'glwo': no such flow or layer; did you mean 'glow'?\n"
    assert fail("check", "").startswith("argument '': no such flow or layer; choose from actnorm, additive_coupling, ")


def test_check_of_a_layer():
    result = run("check", "actnorm", "--points", "2")
    assert result.exit_code == 0
    checked = CHECKED.findall(result.output)
    assert [name for name, *_ in checked] == [f"actnorm: {example}" for example in actnorm.examples()]


def test_a_name_of_both_a_layer_and_a_flow_checks_both(monkeypatch):
    monkeypatch.setattr(certify, "certify", lambda module, shape, points: Check(0, 0, 0, 0, 0))
    checked = [name for name, *_ in CHECKED.findall(run("check", "planar").output)]
    assert {re.split("[:/]", name)[0] for name in checked} == {"planar"}
    assert any(name.startswith("planar: ") for name in checked)
    assert any(name.startswith("planar/") for name in checked)


def test_a_baseline_has_no_map_to_check():
    result = run("check", "gaussian")
    assert result.exit_code == 0
    assert result.output == "gaussian is a baseline: it has no map whose inverse could be checked.\n"


@pytest.mark.parametrize(
    ("old", "new", "name", "line"),
    [
        (
            "flows:\n",
            "flows:\n  nowhere:\n    plane: {}\n",
            "nowhere",
            "params.yaml: flows = 'nowhere': no such flow; ",
        ),
        ("  affine:\n    plane: {}\n", "  affine: {}\n", "affine", "params.yaml: flows.affine: needs a configuration"),
    ],
    ids=["no file", "no configuration"],
)
def test_a_flow_that_cannot_be_made_is_not_passed(monkeypatch, old, new, name, line):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert old in text
    known = yaml.safe_load(text.replace(old, new, 1))["flows"]
    monkeypatch.setattr(config, "load_here", lambda: SimpleNamespace(flows=known))
    result = run("check", name)
    assert result.exit_code == 1
    assert f"FAILED\n    {line}" in result.output


def test_points_must_be_positive():
    assert run("check", "glow", "--points", "0").exit_code == 2


@pytest.mark.parametrize(
    ("first", "line", "status"),
    [
        (Comparison("equal"), "equal", 0),
        (Comparison("within tolerance", 0.0123, "a"), "within tolerance (largest difference 0.012, a)", 0),
        (Comparison("different", 0.5, "a"), "different (largest difference 0.5, a)", 1),
        (RecordError("dvc.lock: has no digest of it"), "dvc.lock: has no digest of it", 1),
        (CalledProcessError(1, "train"), "Command 'train' returned non-zero exit status 1.", 1),
    ],
    ids=["equal", "near", "different", "no record", "failed"],
)
def test_verify_goes_on_to_the_last_cell_and_fails_if_one_is_not_as_on_record(params, monkeypatch, first, line, status):
    keys = list(config.load(params).active.all_cells)
    asked = []

    def again(params, key, tolerance):
        asked.append((key, tolerance))
        if key != keys[0]:
            return Comparison("equal")
        if isinstance(first, Exception):
            raise first
        return first

    monkeypatch.setattr(verify, "verify", again)
    result = run("verify", "--all", "--tolerance", "0.2")
    assert asked == [(key, 0.2) for key in keys]
    assert result.output.splitlines() == [f"{keys[0]}: {line}", *(f"{key}: equal" for key in keys[1:])]
    assert bool(result.stderr) == isinstance(first, Exception)
    assert result.exit_code == status


def test_verify_takes_either_cells_or_all(fail):
    for arguments in ([], ["--all", "moons-maf"]):
        assert fail("verify", *arguments) == "verify: name the cells to run again, or say --all\n"
