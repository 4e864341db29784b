"""Exports: whole, readable without the repository, and refused in one line where they were altered."""

import importlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import flowbench
from flowbench import cli, config, flows
from flowbench.config import ConfigError, plugins
from flowbench.config.options import recorded_options
from flowbench.core import FlowModel
from flowbench.export.reading import CARD, FLOW, WEIGHTS, digest
from flowbench.export.writing import export
from flowbench.records.errors import RecordError
from tests import tiny_cells
from tests.tiny_cells import AUTOENCODER, CONTINUOUS, IMAGES, LABELLED, VECTORS


@pytest.fixture
def written(tiny, tmp_path):
    target = tmp_path / "export"
    export(tiny.measured(VECTORS), target)
    return target


@pytest.mark.parametrize("key", [VECTORS, CONTINUOUS, IMAGES, LABELLED, AUTOENCODER, tiny_cells.BASELINE])
def test_an_export_is_the_trained_flow(tiny, tmp_path, key):
    folder = tiny.measured(key)
    export(folder, tmp_path / "export", seed=1)
    flow, exported = flowbench.load(folder, seed=1), flowbench.load(tmp_path / "export")
    state, other = flow.state_dict(), exported.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)
    draws = [model.sample(5, torch.Generator().manual_seed(3)) for model in (flow, exported)]
    assert torch.equal(*draws)
    assert {path.name for path in (tmp_path / "export").iterdir()} == {FLOW, WEIGHTS, CARD}


def imported_names(*distributions: str) -> list[str]:
    """The top-level modules of installed distributions and of all that they require."""
    waiting, found = list(distributions), set()
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in found:
            continue
        found.add(name)
        requirements = map(Requirement, metadata.requires(name) or [])
        waiting += [one.name for one in requirements if not one.marker or one.marker.evaluate({"extra": ""})]
    owners = metadata.packages_distributions().items()
    return [module for module, own in owners if found & set(map(canonicalize_name, own))]


@pytest.mark.parametrize(
    ("keys", "beside"),
    [([VECTORS, IMAGES, LABELLED, AUTOENCODER, tiny_cells.BASELINE], []), ([CONTINUOUS], ["torchdiffeq"])],
    ids=["most", "continuous"],
)
def test_an_export_needs_torch_numpy_and_safetensors_alone(tiny, tmp_path, keys, beside):
    for key in keys:
        export(tiny.measured(key), tmp_path / key)
    allowed = imported_names("torch", "numpy", "safetensors", *beside)
    code = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {["flowbench", *allowed]!r} and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError("it imports " + name, name=name)

sys.meta_path.insert(0, Refuse())
import flowbench, numpy, torch
for key in {keys!r}:
    flow = flowbench.load(key)
    x = flow.sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(4)  # of the noise on grey levels
    numpy.savez(key, x=x, log_prob=flow.log_prob(x) if hasattr(flow, "log_prob") else [])
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    for key in keys:
        flow, found = flowbench.load(tmp_path / key), np.load(tmp_path / f"{key}.npz")
        x = flow.sample(5, torch.Generator().manual_seed(3))
        torch.manual_seed(4)
        np.testing.assert_allclose(found["x"], x, rtol=1e-6)
        log_prob = flow.log_prob(x) if isinstance(flow, FlowModel) else []
        np.testing.assert_allclose(found["log_prob"], log_prob, rtol=1e-6)


@pytest.mark.parametrize("name", plugins.names("flowbench.flows", flows.__path__[:1]))
def test_the_options_of_each_flow_load_without_pydantic(monkeypatch, name):
    build = importlib.import_module(f"flowbench.flows.{name}").build
    configurations = config.load(Path(__file__).parents[1] / "params.yaml").flows[name]
    monkeypatch.setitem(sys.modules, "pydantic", None)  # an import of it fails
    for options in configurations.values():
        assert recorded_options(build, options, "flow.json") == options


def test_the_card_says_what_was_measured(written, tiny):
    card = (written / CARD).read_text(encoding="utf-8")
    facts = json.loads((written / FLOW).read_text(encoding="utf-8"))
    assert f"{float(facts['metrics']['bits_per_dim']['value']):.6g}" in card
    assert "# affine on gaussian" in card
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {row.replace(r"\|", "").count("|") for row in rows} == {6}


def test_an_export_takes_the_place_of_an_older_one_and_of_nothing_else(tiny, written, tmp_path):
    export(tiny.measured(VECTORS), written, seed=1)
    assert json.loads((written / FLOW).read_text(encoding="utf-8"))["seed"] == 1
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("1")
    with pytest.raises(ConfigError, match="thesis: holds something else"):
        export(tiny.measured(VECTORS), other)
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


def edited(change, digest_of=lambda facts: facts["sha256"]):
    def edit(folder: Path) -> None:
        path = folder / FLOW
        facts = json.loads(path.read_text(encoding="utf-8"))
        change(facts)
        path.write_text(json.dumps(facts | {"sha256": digest_of(facts)}), encoding="utf-8")

    return edit


def by_another(change):
    """As another version of flowbench would have written it."""
    return edited(change, digest)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), r"flow\.safetensors: cannot be read"),
        (
            lambda folder: (folder / WEIGHTS).write_bytes(b"1234567890"),
            r"flow\.safetensors: is not what flow\.json was",
        ),
        (lambda folder: (folder / FLOW).write_text("{"), r"flow\.json: is damaged"),
        (lambda folder: (folder / FLOW).write_text("[" * 100_000), r"flow\.json: is damaged"),
        (lambda folder: (folder / FLOW).write_text("[]"), r"flow\.json: is damaged"),
        (lambda folder: (folder / FLOW).write_bytes(b"\xff\xfe"), r"flow\.json: is damaged"),
        (edited(lambda facts: facts["options"].update(layers=2)), r"flow\.json: was altered after it was written"),
        (edited(lambda facts: facts["event"].update(shape="x")), "was altered"),
        (edited(lambda facts: facts["weights"].update(sha256="0")), "was altered"),
        (edited(lambda facts: facts["metrics"]["bits_per_dim"].update(value="0.1")), "was altered"),
        (edited(lambda facts: facts.pop("commit")), "was altered"),
        (edited(lambda facts: facts.pop("sha256"), lambda facts: ""), "was altered"),
        (edited(lambda facts: facts.update(format=1)), "is of format 1, and this version reads 2; export"),
        (edited(lambda facts: facts.update(format=9)), "is of format 9, and this version reads 2; export"),
        (by_another(lambda facts: facts.pop("event")), r"flow\.json: is damaged \(has no 'event'\)"),
        (by_another(lambda facts: facts.update(flow="afine")), "'afine': no such flow; did you mean 'affine'"),
        (
            by_another(lambda facts: facts.update(flow="my_radial")),
            r"flow = 'my_radial': no such flow; .* \(the flow of a plug-in loads only where the plug-in is installed",
        ),
        (by_another(lambda facts: facts["event"].update(shape=[3])), "do not fit together"),
        (by_another(lambda facts: facts["event"].update(shape="x")), "is damaged"),
        (by_another(lambda facts: facts.update(options={"layers": 2})), r"options = 'layers': no such key"),
        (by_another(lambda facts: facts.update(flow="maf", options={})), r"options\.hidden: is missing"),
        (
            by_another(lambda facts: facts.update(flow="maf", options={"hidden": 2})),
            "hidden = 2: must be a list",
        ),
        (
            by_another(lambda facts: facts.update(flow="maf", options={"hidden": [8], "layers": 0})),
            r"options\.layers = 0: must be greater than 0",
        ),
        (
            by_another(lambda facts: facts.update(flow="cnf", options={"hidden": [8], "tolerance": 0.2})),
            r"options\.tolerance = 0\.2: must be at most 0\.1",
        ),
        (
            by_another(lambda facts: facts.update(flow="cnf", options={"hidden": []})),
            r"options\.hidden = \[\]: must be of length 1 or more",
        ),
        (
            by_another(lambda facts: facts.update(flow="glow", options={"hidden": [8], "prior": "cauchy"})),
            r"options\.prior = 'cauchy': must be one of 'normal', 'diagonal'",
        ),
        (by_another(lambda facts: facts.update(options=None)), "options = None: must be of the type dict"),
        (by_another(lambda facts: facts.update(options=["hidden"])), "options = .*: must be of the type dict"),
        (by_another(lambda facts: facts.update(flow=3)), "flow = '3': no such flow"),
        *(
            (by_another(lambda facts, shape=shape: facts["event"].update(shape=shape)), rf"event\.shape = .*: {reason}")
            for shape, reason in [
                ("23", "must be a list"),
                (2, "must be a list"),
                (None, "must be a list"),
                ([], "must be of length 1 or more"),
                ([2.0], "must be of the type int"),
                (["2"], "must be of the type int"),
                ([0], "must be greater than 0"),
            ]
        ),
        (by_another(lambda facts: facts["event"].update(levels="3")), r"event\.levels = '3': must be of the type int"),
        (by_another(lambda facts: facts["event"].update(standardise=1)), r"standardise = 1: must be of the type bool"),
        (by_another(lambda facts: facts["event"].update(start=[1])), r"event\.start = \[1\]: must be of the type dict"),
        (by_another(lambda facts: facts["event"].update(start={})), r"has no 'centres'"),
        (
            by_another(lambda facts: facts["event"].update(start={"centres": [[0, 1, 2]], "std": 1})),
            r"event\.start\.centres = \[\[0, 1, 2\]\]: each must have 2 values",
        ),
        (
            by_another(lambda facts: facts["event"].update(start={"centres": [[0, 1]], "std": 0})),
            r"event\.start\.std = 0: must be greater than 0",
        ),
    ],
)
def test_an_altered_export_is_one_line(written, damage, message):
    damage(written)
    with pytest.raises((RecordError, ConfigError), match=message) as error:
        flowbench.load(written)
    assert "\n" not in str(error.value)


def test_the_command_writes_and_says_how_to_load(tiny, tmp_path, monkeypatch, capsys):
    tiny.measured(VECTORS)
    monkeypatch.chdir(tiny.root)
    monkeypatch.setattr(sys, "argv", ["flowbench", "export", VECTORS, str(tmp_path / "out"), "--suite", "tiny"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "load it with flowbench.load(" in capsys.readouterr().out
    np.testing.assert_equal(flowbench.load(tmp_path / "out").sample(2).shape, (2, 2))


def test_the_command_refuses_what_is_not_trained(tiny, tmp_path, monkeypatch, capsys):
    root = tiny.copy(tmp_path / "copy")
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["flowbench", "export", VECTORS, str(tmp_path / "out"), "--suite", "tiny"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "is missing; make it again with" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
