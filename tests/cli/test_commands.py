"""The flowbench command, in a folder with a params.yaml and suites of its own."""

import re
from pathlib import Path
from subprocess import CalledProcessError
from types import SimpleNamespace

import pytest

from flowbench import certificates, cli, config, flows, layers, verify
from flowbench.cli.arguments import known_cell
from flowbench.config import documents, suites
from flowbench.core import Check
from flowbench.layers import actnorm
from flowbench.layers.rescaling import Rescaling
from flowbench.records.errors import RecordError
from flowbench.verify import Rerun
from tests.cli.commands import ROOT, edit, run, written

CHECKED = re.compile(r"^(.+?) +(\S+e[-+]\d+) +(\S+e[-+]\d+)  (ok|FAILED)$", re.MULTILINE)
COMMANDS = [info.name or info.callback.__name__ for info in cli.app.registered_commands]
LOCK = """\
schema: '2.0'
stages:
  train@moons-nice: {cmd: train, outs: [{path: results/laptop/moons-nice/trained, md5: 0a.dir}]}
"""


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda command: " ".join(command))
def test_help(command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    if not command:
        assert all(re.search(rf"^  {name} ", result.output, re.MULTILINE) for name in [*COMMANDS, "new"])
    else:
        assert "\n  Examples:\n    flowbench " in result.output


def test_a_removed_command_is_refused():
    assert run("suite", "toy").exit_code == 2


def test_list_names_everything():
    result = run("list")
    assert result.exit_code == 0
    known = config.load()
    words = set(result.output.replace(",", " ").replace(":", " ").split())
    assert words >= {*known.flows, *known.data, *known.budgets, *suites.names()}
    for name in suites.names():
        suite = suites.load(name, known)
        assert words >= suite.cells.keys()
        assert f"Suite {name}: {suite.about} ({len(suite.cells)} cells). Run it with: {suite.repro}\n" in result.output
    assert ", taught by moons-maf\n" in result.output


def test_list_goes_on_after_a_suite_that_is_wrong():
    Path("suites", "smoke.yaml").write_text("about: [", encoding="utf-8")
    result = run("list")
    assert result.exit_code == 2
    assert result.stderr.startswith("suites/smoke.yaml: is not YAML: ")
    assert result.stderr.count("\n") == 1
    assert "Suite toy: " in result.stdout
    assert "Suite smoke: " not in result.stdout


def test_expand_writes_what_dvc_reads_and_then_nothing():
    assert (result := run("expand")).exit_code == 0
    files = ["cells.json", *(f"suites/{name}/cells.json" for name in suites.names() if name != suites.DEFAULT)]
    files += ["stages/data.yaml", "stages/suites.yaml"]
    assert {line.partition(": ")[0] for line in result.output.splitlines()} == {*files}
    for name in files:
        # What is committed is what the command writes.
        assert Path(name).read_bytes() == (ROOT / name).read_bytes()
    assert all(Path("suites", name, "dvc.yaml").readlink() == Path("../../dvc.yaml") for name in ("toy", "smoke"))
    again = run("expand")
    assert (again.exit_code, again.output) == (0, "")


def test_expand_of_one_suite_leaves_the_others_alone():
    result = run("expand", "toy")
    assert result.exit_code == 0
    cells = len(suites.load("toy", config.load()).cells)
    line = f"suites/toy/cells.json: {cells} cells. Run them with: dvc repro suites/toy/dvc.yaml"
    assert line in result.output.splitlines()
    assert not Path("suites/smoke").exists()
    assert not Path("cells.json").exists()


def test_expand_check_writes_nothing_and_names_each_stale_file():
    run("expand")
    assert run("expand", "--check").exit_code == 0
    edit(Path("suites/toy.yaml"), "seeds: [0, 1, 2]", "seeds: [0, 1]")
    edit(Path("params.yaml"), "  digits: {validation: 250, test: 297}\n", "")
    edit(Path("suites/laptop.yaml"), "[digits]", "[moons]")
    before = written()
    result = run("expand", "toy", "--check")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{name}: is stale; run `flowbench expand`" for name in ("suites/toy/cells.json", "stages/data.yaml")
    ]
    assert written() == before


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[maf]", "[mfa]", "cells.1.budgets.smoke = 'mfa': no such flow; did you mean 'maf'?"),
        ("data: [moons]", "data: [mons]", "cells.1.data = 'mons': no such data set; did you mean 'moons'?"),
        ("iaf_distilled: maf", "iaf_distilled: mfa", "teacher = 'moons-mfa': no such cell on the same data; did you"),
        ("iaf_distilled: maf", "iaf_distilled: nice", "moons-iaf_distilled: teacher: is a nice; choose a maf"),
        ("    teachers: {iaf_distilled: maf}\n", "", "iaf_distilled learns from a trained maf; name that cell under"),
    ],
    ids=["flow", "data", "teacher", "kind of teacher", "no teacher"],
)
def test_a_mistake_in_one_suite_is_one_line_and_the_others_are_expanded(old, new, line):
    edit(Path("suites/smoke.yaml"), old, new)
    result = run("expand")
    assert result.exit_code == 2
    assert result.stderr.startswith("suites/smoke.yaml: ")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("suites/smoke/cells.json").exists()
    assert Path("suites/toy/cells.json").read_bytes() == (ROOT / "suites/toy/cells.json").read_bytes()
    assert Path("cells.json").read_bytes() == (ROOT / "cells.json").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["expand", "smok"], "argument 'smok': no such suite; did you mean 'smoke'?"),
        (["expand", "toy", "smok", "--check"], "argument 'smok': no such suite; did you mean 'smoke'?"),
        (["digest", "lapto"], "argument 'lapto': no such suite; did you mean 'laptop'?"),
        (["verify", "--suite", "toyy", "--all"], "argument 'toyy': no such suite; did you mean 'toy'?"),
        (["verify", "--suite", "../toy", "--all"], "argument '../toy': no such suite; did you mean 'toy'?"),
        (
            ["verify", "--suite", "smoke", "moons-nise"],
            "argument 'moons-nise': no such cell of the suite smoke; did you mean 'moons-nice'?",
        ),
        (["check", "glwo"], "argument 'glwo': no such flow, layer or data set; did you mean 'glow'?"),
        (["verify"], "verify: name the cells to run again, or say --all"),
        (["verify", "--all", "moons-maf"], "verify: name the cells to run again, or say --all"),
        (["digest"], "dvc.lock: has no cell of the suite laptop; make them with: dvc repro"),
        (
            ["digest", "toy"],
            "suites/toy/dvc.lock: has no cell of the suite toy; make them with: dvc repro suites/toy/dvc.yaml",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_argument_is_called_an_argument(fail, arguments, line):
    before = written()
    assert fail(*arguments) == f"{line}\n"
    assert written() == before


def test_a_cell_of_another_suite_is_named_with_its_suite(monkeypatch):
    monkeypatch.chdir(ROOT)
    laptop = suites.load("laptop", config.load())
    with pytest.raises(config.ConfigError, match="is no cell of the suite laptop; say --suite toy"):
        known_cell("checkerboard-nice", laptop)
    with pytest.raises(config.ConfigError, match="did you mean 'moons-nice'"):
        known_cell("moons-nise", laptop)


def test_a_suite_of_a_benchmark_is_named_with_its_folder(params, fail):
    suite = Path("cars-bench", suites.source("cars"))
    suite.parent.mkdir(parents=True)
    suite.write_text("about: x\n", encoding="utf-8")
    line = "argument 'cars': is a suite of cars-bench; run the command in that folder\n"
    assert fail("verify", "cars-maf", "--suite", "cars") == line
    for other in ("bikes", "*", "x**", "../cars", "x" * 300):
        assert "no such suite" in fail("verify", "cars-maf", "--suite", other)


EVERY = [["list"], ["expand"], ["expand", "--check"], ["check"], ["digest"], ["verify", "--all"]]


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_a_mistake_in_the_configuration_is_one_line(params, fail, command):
    params.write_text(
        re.sub(r"batch_size: \d+", "batch_size: -1", params.read_text(encoding="utf-8"), count=1), encoding="utf-8"
    )
    line = fail(*command)
    assert line.startswith("params.yaml: budgets.")
    assert "train.batch_size = -1: input should be greater than 0" in line


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_no_configuration_at_all(params, fail, command):
    params.unlink()
    assert fail(*command) == "params.yaml: is not in this folder; run it in the repository's root\n"


def test_a_digest_is_of_what_was_run():
    Path("dvc.lock").write_text(LOCK, encoding="utf-8")
    first = run("digest")
    assert first.exit_code == 0
    assert re.fullmatch(r"[0-9a-f]{64}\n", first.output)
    edit(Path("dvc.lock"), "0a.dir", "0b.dir")
    assert run("digest").output != first.output


def test_version():
    assert re.fullmatch(r"flowbench \d+\.\d+\.\d+\n", run("--version").output)


def test_check_of_one_flow():
    result = run("check", "nice", "--points", "2")
    assert result.exit_code == 0
    checked = CHECKED.findall(result.output)
    configurations = config.load(ROOT / "params.yaml").flows["nice"]
    assert {name.partition(" on ")[0] for name, *_ in checked} == {f"nice/{name}" for name in configurations}
    assert {verdict for *_, verdict in checked} == {"ok"}
    assert all(float(trip) < 1e-8 and float(logdet) < 1e-8 for _, trip, logdet, _ in checked)


def test_check_without_a_name_takes_every_layer_and_flow(monkeypatch):
    # That they pass is tested elsewhere, at length.
    monkeypatch.setattr(certificates, "certify", lambda module, shape, points: Check(0, 0, 0, 0, points * 1e-9))
    checked = CHECKED.findall(run("check", "--points", "3").output)
    found = {re.split("[:/]", name)[0] for name, *_ in checked}
    # A baseline has no map, and dequantisation draws noise.
    assert found == {*flows.names(), *layers.names()} - {"gaussian", "gaussian_mixture", "dequantise"}
    assert {logdet for _, _, logdet, _ in checked} == {"3.0e-09"}


def test_a_failed_check_ends_with_an_error(monkeypatch):
    class Wrong(Rescaling):
        def encode(self, x):
            z, logdet = super().encode(x)
            return z, -logdet

    subjects = [("right", Rescaling((2,)), (2,)), ("wrong", Wrong((2,)), (2,))]
    monkeypatch.setattr(certificates, "subjects", lambda params, flow: iter(subjects))
    result = run("check")
    assert result.exit_code == 1
    assert [(name, verdict) for name, *_, verdict in CHECKED.findall(result.output)] == [
        ("right", "ok"),
        ("wrong", "FAILED"),
    ]
    assert re.search(
        r"FAILED\n    encode's log-determinant: expected (\S+) \(autograd\), found (?!\1)\S+\n", result.output
    )


def test_check_of_no_name_at_all(fail):
    assert fail("check", "").startswith(
        "argument '': no such flow, layer or data set; choose from actnorm, additive_coupling, "
    )


def test_check_of_a_layer():
    result = run("check", "actnorm", "--points", "2")
    assert result.exit_code == 0
    checked = CHECKED.findall(result.output)
    assert [name for name, *_ in checked] == [f"actnorm: {example}" for example in actnorm.examples()]


def test_a_name_of_both_a_layer_and_a_flow_checks_both(monkeypatch):
    monkeypatch.setattr(certificates, "certify", lambda module, shape, points: Check(0, 0, 0, 0, 0))
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
def test_a_flow_that_cannot_be_made_is_not_passed(params, monkeypatch, old, new, name, line):
    edit(params, old, new)
    known = documents.read(params)["flows"]
    monkeypatch.setattr(config, "load_here", lambda: SimpleNamespace(flows=known, data={}))
    result = run("check", name)
    assert result.exit_code == 1
    assert f"FAILED\n    {line}" in result.output


def test_points_must_be_positive():
    assert run("check", "glow", "--points", "0").exit_code == 2


@pytest.mark.parametrize(
    ("first", "line", "status"),
    [
        (Rerun("equal"), "equal", 0),
        (Rerun("within tolerance", 0.0123, "a"), "within tolerance (largest difference 0.012, a)", 0),
        (Rerun("different", 0.5, "a"), "different (largest difference 0.5, a)", 1),
        (RecordError("dvc.lock: has no digest of it"), "dvc.lock: has no digest of it", 1),
        (CalledProcessError(1, "train"), "Command 'train' returned non-zero exit status 1.", 1),
    ],
    ids=["equal", "near", "different", "no record", "failed"],
)
def test_verify_goes_on_to_the_last_cell_and_fails_if_one_is_not_as_on_record(monkeypatch, first, line, status):
    keys = list(suites.load("smoke", config.load()).cells)
    asked = []

    def again(suite, key, tolerance):
        asked.append((suite.name, key, tolerance))
        if key != keys[0]:
            return Rerun("equal")
        if isinstance(first, Exception):
            raise first
        return first

    monkeypatch.setattr(verify, "verify", again)
    result = run("verify", "--all", "--suite", "smoke", "--tolerance", "0.2")
    assert asked == [("smoke", key, 0.2) for key in keys]
    assert result.output.splitlines() == [f"{keys[0]}: {line}", *(f"{key}: equal" for key in keys[1:])]
    assert bool(result.stderr) == isinstance(first, Exception)
    assert result.exit_code == status
