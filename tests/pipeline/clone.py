"""A clone of the project in a folder of its own, with DVC and MLflow that share nothing with the working tree."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

import yaml

WORKING_TREE = Path(__file__).parents[2]
FOREIGN = ("DVC_", "GIT_DIR", "GIT_INDEX", "GIT_WORK_TREE", "MLFLOW_", "PYTHONPATH")


@dataclass(frozen=True)
class Clone:
    """A repository under ``home / "flowbench"``; its settings, caches and notes lie beside it."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "flowbench"

    @classmethod
    def of_working_tree(cls, home: Path, suite: str) -> Clone:
        """What a fresh clone holds once the working tree is committed, with ``suite`` active."""
        listed = git(WORKING_TREE, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        clone = cls(home)
        for name in set(filter(None, listed)):
            if (source := WORKING_TREE / name).is_file():
                target = clone.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        clone.flowbench("suite", suite)
        clone.git("init", "--quiet")
        clone.commit()
        return clone

    def copy(self, home: Path) -> Clone:
        """The same elsewhere, results and DVC's cache included."""
        shutil.copytree(self.root, home / "flowbench", symlinks=True)
        return Clone(home)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Tested")

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment of the tests without what would lead out of the clone."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        notes = self.home / "notes"
        notes.mkdir(parents=True, exist_ok=True)
        return mine | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{mine['PATH']}",
            "PYTHONPATH": str(Path(__file__).parent / "spy"),
            "SPY_NOTES": str(notes),
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc-site"),
            "DVC_GLOBAL_CONFIG_DIR": str(self.home / "dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.home / "dvc-system"),
            **changes,
        }

    def start(self, *command: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen:
        """A command in the clone's root, with both of its outputs as one text."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} | options
        return subprocess.Popen(command, cwd=self.root, env=self.environment(**env or {}), **options)

    def run(self, *command: str, succeeds: bool = True, **options: Any) -> str:
        """What a command prints; that it succeeds, or fails, is asserted."""
        process = self.start(*command, **options)
        output, _ = process.communicate()
        assert (process.returncode == 0) == succeeds, f"{' '.join(command)}: {process.returncode}\n{output}"
        return output

    def dvc(self, *arguments: str, **options: Any) -> str:
        return self.run("dvc", *arguments, **options)

    def python(self, program: str, *arguments: str, **options: Any) -> str:
        """Run Python with the clone's code, which stands before the working tree's that is installed."""
        return self.run(sys.executable, "-c", program, *arguments, **options)

    def flowbench(self, *arguments: str, **options: Any) -> str:
        return self.python("from flowbench.cli import main; main()", *arguments, **options)

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def changed(self) -> set[str]:
        """The stages that ``dvc repro`` would start with, but for ``publish``, which it always runs."""
        status = json.loads(self.dvc("status", "--json", stderr=subprocess.DEVNULL))
        return {stage for stage in status if not stage.startswith("publish@")}

    @staticmethod
    def ran(output: str) -> list[str]:
        """The stages that ``dvc repro`` says it ran."""
        return re.findall(r"^Running stage '(.*)'", output, re.MULTILINE)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one occurrence of ``old`` in a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def restore(self, *names: str) -> None:
        """Take back all edits of committed files."""
        self.git("checkout", "--quiet", "--", *names or ".")

    @property
    def params(self) -> dict[str, Any]:
        return read_yaml(self.root / "params.yaml")

    @property
    def cells(self) -> dict[str, dict[str, str]]:
        """The active cells by key, students among them."""
        active = self.params["active"]
        return active["cells"] | active["students"]

    def stages_of(self, cells: Iterable[str], *steps: str) -> set[str]:
        """The stages that train and evaluate some active cells, or one step of these alone."""
        students = self.params["active"]["students"]
        steps = steps or ("train", "evaluate")
        return {f"{step}{'_student' if key in students else ''}@{key}" for step in steps for key in cells}

    def stages_of_flows(self, *flows: str) -> set[str]:
        """The stages that train and evaluate the active cells of some flows."""
        return self.stages_of([key for key, cell in self.cells.items() if cell["flow"] in flows])

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """What ``dvc.lock`` holds of the active suite's stages: what they depend on and what they made.

        The lock keeps stages of other suites too.
        """
        active = self.params["active"]
        items = {active["name"], *active["data"], *self.cells}
        lock = read_yaml(self.root / "dvc.lock")["stages"]
        return {name: stage for name, stage in lock.items() if name == "code" or name.partition("@")[2] in items}

    @property
    def reads(self) -> dict[str, set[str]]:
        """The clone's files that each stage has read, as far as they are still there; compiled code as its source."""
        reads = defaultdict(set)
        for notes in (self.home / "notes").iterdir():
            for name in notes.read_text(encoding="utf-8").splitlines():
                source = source_from_cache(name) if name.endswith(".pyc") else name
                if (self.root / source).is_file():
                    reads[notes.name].add(source)
        return dict(reads)

    def files(self, *names: str, but: tuple[str, ...] = ()) -> dict[str, str]:
        """The SHA-256 of all files below some folders by path, without those of some names."""
        paths = [path for name in names for path in sorted((self.root / name).rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.root)): digest(path) for path in paths if path.name not in but}

    def results(self) -> list[dict[str, str]]:
        """The rows of the report's table."""
        with (self.root / "reports" / self.params["active"]["name"] / "results.csv").open(
            newline="", encoding="utf-8"
        ) as file:
            return list(csv.DictReader(file))


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    run = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"git {' '.join(arguments)}\n{run.stdout}{run.stderr}"
    return run.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_yaml(path: Path) -> Any:
    return yaml.load(
        path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )  # ten times faster in C
