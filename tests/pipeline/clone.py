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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from flowbench import config
from flowbench.config import Suite, documents, suites
from tests import warm

WORKING_TREE = Path(__file__).parents[2]
FOREIGN = ("DVC_", "GIT_DIR", "GIT_INDEX", "GIT_WORK_TREE", "MLFLOW_", "PYTHONPATH")
# The suite that the tests run.
SMOKE = "smoke"
PIPELINE = f"suites/{SMOKE}/dvc.yaml"
PUBLISH = f"publish@{SMOKE}"
# No test runs them.
OTHERS = ("toy", "images", "gpu", "tables", "tables-published")


@dataclass(frozen=True)
class Clone:
    """A repository under ``home / "flowbench"``; its settings, caches and notes lie beside it."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "flowbench"

    @classmethod
    def of_working_tree(cls, home: Path) -> Clone:
        """What a fresh clone holds once the working tree is committed, without the reports of other suites."""
        clone = cls(home)
        copy_working_tree(clone.root)
        # DVC would read the pipelines of all suites at each command.
        others = "/dvc.yaml\n/dvc.lock\n" + "".join(f"/{suites.folder(name)}\n" for name in OTHERS)
        with (clone.root / ".dvcignore").open("a", encoding="utf-8") as file:
            file.write(others)
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
            **warm.server(),
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

    def repro(self, *stages: str, **options: Any) -> str:
        """``dvc repro`` of some stages of the smoke suite, or of all."""
        return self.dvc("repro", *([f"{PIPELINE}:{stage}" for stage in stages] or [PIPELINE]), **options)

    def python(self, program: str, *arguments: str, **options: Any) -> str:
        """Run Python with the clone's code, which stands before the working tree's that is installed."""
        return self.run(sys.executable, "-c", program, *arguments, **options)

    def stage(self, name: str, *arguments: str, **options: Any) -> str:
        """Run the script of a stage, without DVC."""
        return self.run(sys.executable, "-m", f"stages.{name}", *arguments, **options)

    def flowbench(self, *arguments: str, **options: Any) -> str:
        return self.python("from flowbench.cli import main; main()", *arguments, **options)

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    @contextmanager
    def here(self) -> Iterator[None]:
        """Work in the clone's root, in this process and with DVC as a library: no start of Python is paid for."""
        before, inside, folder = os.environ.copy(), self.environment(), Path.cwd()
        os.environ.clear()
        os.environ.update(inside)
        os.chdir(self.root)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)

    def changed(self, but: Iterable[str] = (PUBLISH,)) -> set[str]:
        """The stages that ``dvc repro`` of the smoke suite would start with, but for `PUBLISH`, which always runs."""
        from dvc.repo import Repo

        with self.here(), Repo() as repo:
            found = repo.status(targets=[PIPELINE], with_deps=True)
        return {short(stage) for stage in found} - set(but)

    @staticmethod
    def ran(output: str) -> list[str]:
        """The stages that ``dvc repro`` says it ran."""
        return [short(name) for name in re.findall(r"^Running stage '(.*)'", output, re.MULTILINE)]

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
    def suite(self) -> Suite:
        """The smoke suite as its file says it is."""
        return suites.load(SMOKE, config.load(self.root / "params.yaml"), self.root)

    def stages_of(self, cells: Iterable[str], *steps: str) -> set[str]:
        """The stages that train and evaluate some cells, or one step of these alone."""
        return {f"{step}@{key}" for step in steps or ("train", "evaluate") for key in cells}

    def stages_of_flows(self, *flows: str) -> set[str]:
        """The stages that train and evaluate the cells of some flows."""
        return self.stages_of([key for key, cell in self.suite.cells.items() if cell.flow in flows])

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """What the locks hold of the suite's stages: what they depend on and what they made."""
        own = documents.read(self.root / "suites" / SMOKE / "dvc.lock")["stages"]
        shared = documents.read(self.root / "stages" / "dvc.lock")["stages"]
        needed = {"code", *(f"download@{name}" for name in self.suite.data)}
        return own | {name: stage for name, stage in shared.items() if name in needed} | {"publish": shared[PUBLISH]}

    @property
    def reads(self) -> dict[str, set[str]]:
        """The clone's files that each stage has read, as far as they are still there; compiled code as its source."""
        reads = defaultdict(set)
        for notes in (self.home / "notes").iterdir():
            stage = "@".join(part for part in notes.name.split("@") if part != SMOKE)
            for name in notes.read_text(encoding="utf-8").splitlines():
                source = source_from_cache(name) if name.endswith(".pyc") else name
                if (self.root / source).is_file():
                    reads[stage].add(source)
        return dict(reads)

    def files(self, *names: str, but: tuple[str, ...] = ()) -> dict[str, str]:
        """The SHA-256 of all files below some folders by path, without those of some names."""
        paths = [path for name in names for path in sorted((self.root / name).rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.root)): digest(path) for path in paths if path.name not in but}

    def results(self) -> list[dict[str, str]]:
        """The rows of the report's table."""
        with (self.root / "reports" / SMOKE / "results.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def metrics(self, key: str) -> dict[str, Any]:
        """A cell's ``metrics.json``."""
        return json.loads((self.root / "results" / SMOKE / key / "metrics.json").read_text(encoding="utf-8"))


def copy_working_tree(target: Path) -> None:
    """Copy what git would commit of the working tree to an empty folder, without the reports of other suites."""
    listed = git(WORKING_TREE, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, dict.fromkeys(listed)):
        source = WORKING_TREE / name
        if source.is_file() and not re.match("reports/.*/", name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name, follow_symlinks=False)


def short(stage: str) -> str:
    """A stage's name within its pipeline."""
    return stage.rpartition(":")[2]


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    run = subprocess.run(["git", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, f"git {' '.join(arguments)}\n{run.stdout}{run.stderr}"
    return run.stdout


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
