"""The commit of a result, and why there is none."""

import os
import subprocess
from pathlib import Path

import pytest

from flowbench.records.commit import current_commit


def git(root: Path, *command: str) -> str:
    who = ("-c", "user.name=me", "-c", "user.email=me@host")
    run = subprocess.run(["git", *who, *command], cwd=root, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    root = tmp_path / "my work"
    for name in ("flowbench/old.py", "stages/train.py", "dvc.lock", "params.yaml", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    git(root, "init", "--quiet")
    return root


def commit(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "all")


@pytest.mark.parametrize(
    ("path", "dirty"),
    [
        (None, False),
        ("stages/train.py", True),
        ("flowbench/new.py", True),
        ("stages/new/part.py", True),
        ("flowbench/__pycache__/new.pyc", False),
        ("notes.txt", False),
        ("dvc.lock", False),
        ("params.yaml", False),
        ("README.md", True),
    ],
)
def test_the_commit_is_that_of_the_code(root, path, dirty, capfd):
    commit(root)
    if path:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("changed", encoding="utf-8")
    assert current_commit(root) == git(root, "rev-parse", "HEAD") + ("-dirty" if dirty else "")
    assert capfd.readouterr().err == ""


def test_the_root_may_be_relative_or_lie_deeper_in_the_repository(root, monkeypatch):
    commit(root)
    (root / "README.md").write_text("changed", encoding="utf-8")
    monkeypatch.chdir(root)
    assert current_commit(Path()) == git(root, "rev-parse", "HEAD") + "-dirty"
    assert current_commit(Path("stages")) == git(root, "rev-parse", "HEAD")


def test_outside_of_a_repository_there_is_none(tmp_path, capfd):
    assert current_commit(tmp_path) == ""
    assert capfd.readouterr().err == ""


def complaint(root: Path, capfd) -> str:
    assert current_commit(root) == ""
    (line,) = capfd.readouterr().err.splitlines()
    start = f"{root}: the commit is not recorded, because git refuses: "
    assert line.startswith(start)
    return line.removeprefix(start)


def test_a_repository_of_another_user_is_said(root, capfd, monkeypatch):
    commit(root)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "safe.directory" in complaint(root, capfd)


def test_a_repository_without_a_commit_is_said(root, capfd):
    assert "fatal: " in complaint(root, capfd)


def test_a_machine_without_git_is_said(root, capfd, monkeypatch):
    commit(root)
    monkeypatch.setenv("PATH", str(root))
    assert complaint(root, capfd) == "git: No such file or directory"
