"""``flowbench doctor``: what is there, what is lacking, and a way to mend each lack."""

import importlib
import json
from pathlib import Path

import pytest

from flowbench.cli.doctor import Finding
from tests.cli.commands import ROOT, run

# The package has the command under the name of its file.
doctor = importlib.import_module("flowbench.cli.doctor")

# A port that nothing listens on.
CLOSED = "127.0.0.1:9"


def found(*looks) -> dict[str, Finding]:
    return {finding.name: finding for look in looks for finding in look()}


def test_this_machine(monkeypatch):
    """The one that runs the tests has all that is needed."""
    monkeypatch.chdir(ROOT)
    result = run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.output)}
    needed = {"folder", "python", "lock", "torch", "machine", "disk", "dvc", "mlflow"}
    assert {name: findings[name]["found"] for name in needed if findings[name]["state"] != "ok"} == {}
    assert findings.keys() >= needed | {"GPU", "git", "dvc remote", "mirror", "chromium"}
    assert result.exit_code == 0


def test_each_lack_comes_with_what_mends_it(monkeypatch):
    monkeypatch.setattr(doctor, "_LOOKS", (doctor._place, doctor._dvc, doctor._mirror))
    monkeypatch.delenv("FLOWBENCH_DATA_MIRROR", raising=False)
    Path("params.yaml").unlink()
    result = run("doctor")
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == "missing  folder       there is no params.yaml in this folder"
    assert lines[1].strip() == "mend it with: cd to the repository's root"
    assert lines[2].startswith("missing  dvc ")
    assert lines[3].strip() == "mend it with: cd to a clone"
    assert lines[4] == "note     mirror       FLOWBENCH_DATA_MIRROR is not set: images come from public hosts"


def test_a_note_is_no_failure(monkeypatch):
    monkeypatch.setattr(doctor, "_LOOKS", (doctor._browser,))
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)
    result = run("doctor")
    assert result.exit_code == 0
    assert "mend it with: apt-get install chromium" in result.output


def test_versions_that_are_not_those_of_the_lock(monkeypatch):
    installed = {"torch": "2.9.0+cpu", "numpy": "2.3.0", "typer": "0.29.2"}
    monkeypatch.setattr(doctor, "_version", lambda name: installed.get(name, ""))
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: ["torch>=2.6", "numpy>=2.0"])
    lock = Path("requirements.txt")
    # A local version is a build of the same version, and another build may lack a package.
    lock.write_text(
        "# the lock\ntorch==2.9.0  # via x\nnumpy==2.3.0 ; python_version < '4'\ncuda==1.0\n", encoding="utf-8"
    )
    assert found(doctor._packages)["lock"].state == "ok"
    lock.write_text("torch==2.9.1\nnumpy==2.3.0\n", encoding="utf-8")
    finding = found(doctor._packages)["lock"]
    assert (finding.state, finding.found) == ("missing", "torch 2.9.0+cpu instead of 2.9.1")
    assert finding.mend == "touch requirements.txt && make env"
    del installed["numpy"]
    assert found(doctor._packages)["lock"].found.startswith("numpy is missing, torch ")


@pytest.mark.parametrize(
    ("place", "state", "shown"),
    [
        (".", "ok", "."),
        ("nowhere", "note", "nowhere: is no folder"),
        (f"http://me:secret@{CLOSED}/", "note", f"http://{CLOSED}/: does not answer ("),
    ],
    ids=["a folder", "no folder", "no host"],
)
def test_a_mirror_is_looked_for(monkeypatch, place, state, shown):
    monkeypatch.setenv("FLOWBENCH_DATA_MIRROR", place)
    finding = found(doctor._mirror)["mirror"]
    assert finding.state == state
    assert finding.found.startswith(shown)
    assert "secret" not in finding.found
    assert bool(finding.mend) == (state != "ok")


def test_a_store_that_does_not_answer_is_a_lack(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@{CLOSED}")
    finding = found(doctor._mlflow)["mlflow"]
    assert finding.state == "missing"
    assert f"http://{CLOSED}: does not answer (" in finding.found


def test_a_full_disk_is_a_lack(monkeypatch):
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1e18)
    assert found(doctor._machine)["disk"].state == "missing"
