"""``make peers``: the flows of other libraries as cells, without the libraries but where they are installed."""

import pytest
import torch

from bench import peers, suite
from bench.suite import __main__ as command
from flowbench import certificates, config, flows
from flowbench.config import suites
from flowbench.core import Event
from flowbench.runtime.seeding import seeded

LIBRARIES = sorted({library for having in suite.ARCHITECTURES.values() for library in having})


@pytest.fixture
def versions(monkeypatch):
    monkeypatch.setattr(peers, "version", lambda name: "1.0")


@pytest.mark.usefixtures("versions")
def test_each_flow_of_a_library_is_as_large_as_ours():
    document = suite.document(set(LIBRARIES))
    labels = suite.suite(set(LIBRARIES), 2)["cells"][0]["budgets"]["plane-long"]
    assert len(labels) == len(set(labels))
    assert {label.partition("-")[0] for label in labels} == document["flows"].keys()
    for architecture, having in suite.ARCHITECTURES.items():
        for configuration, _, _ in suite.DATA.values():
            ours = document["flows"][architecture][configuration]
            for library in having:
                theirs = document["flows"][library][f"{configuration}-{architecture}"]
                assert theirs == {"architecture": architecture, "layers": ours["layers"], "hidden": ours["hidden"]}


@pytest.mark.usefixtures("versions")
def test_all_libraries_share_the_budget_and_the_seeds():
    found = suite.suite(set(LIBRARIES), 3)
    assert found["seeds"] == [0, 1, 2]
    assert [list(block["budgets"]) for block in found["cells"]] == [["plane-long"], ["table"]]
    assert "nflows 1.0" in found["about"]
    assert suite.document(set())["budgets"]["plane-long"]["train"]["learning_rate"] == 0.004
    assert suite.document(set(), ["magic"])["budgets"].keys() == {"table"}
    assert [block["data"] for block in suite.suite(set(), 1, ["magic"])["cells"]] == [["magic"]]


def test_a_library_that_is_missing_is_told_and_left_out(tmp_path, monkeypatch, capsys):
    """What is left is a suite that DVC can run."""

    def load(name):
        raise peers.Missing(f"ModuleNotFoundError: No module named {name!r}")

    monkeypatch.setattr(peers, "load", load)
    monkeypatch.setattr("sys.argv", ["suite", "--dry-run", "--seeds", "1"])
    monkeypatch.chdir(tmp_path)
    assert command.main() == 0
    told = capsys.readouterr().out
    assert "zuko is left out: ModuleNotFoundError: No module named 'zuko'\n" in told
    assert "peers-bench: moons, magic; no other library\n" in told
    monkeypatch.chdir("peers-bench")
    found = suites.load(suite.NAME, config.load())
    assert {cell.flow for cell in found.cells.values()} == {*suite.ARCHITECTURES, *suite.BASELINES}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["suite", "--dry-run"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "peers-bench").mkdir()
    (tmp_path / "peers-bench" / "mine.txt").write_text("1", encoding="utf-8")
    assert command.main() == 1
    assert "peers-bench: holds something else" in capsys.readouterr().err


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_flow_of_a_library_is_certified_where_it_is_installed(library, monkeypatch):
    """`make peers` has them all; the tests' own environment has none."""
    pytest.importorskip(peers.MODULES.get(library, library))
    monkeypatch.setattr(flows, "__path__", [*flows.__path__, str(suite.FLOWS)])
    for architecture in (name for name, having in suite.ARCHITECTURES.items() if library in having):
        for dims in (2, 5):
            options = {"architecture": architecture, "layers": 3, "hidden": [8, 8]}
            with seeded(0):
                model = flows.build(library, Event((dims,)), options)
            check = certificates.certify(model.transform, (dims,))
            assert certificates.passes(check), (architecture, dims, check)
            assert model.sample(5).shape == (5, dims)
            assert model.log_prob(torch.zeros(3, dims)).isfinite().all()
