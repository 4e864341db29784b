"""The rules of the house: who imports whom, what is cheap to import, how large a file is, what the lock may say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LISTED = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
TRACKED = [path for path in map(ROOT.joinpath, LISTED) if path.is_file()]

# Each costs seconds to import, so what runs at every command leaves them to the functions that need them.
HEAVY = {"dvc", "matplotlib", "mlflow", "sklearn", "torch"}
LIGHT = [
    "flowbench",
    "flowbench.cli",
    "flowbench.config",
    "flowbench.metrics",
    "flowbench.tracking",
    "stages.code",
    "stages.publish",
]

MAX_LINES = 350
LONGER = {
    "tests/data/test_images.py": "a server's every fault, with the files that it serves",
    "tests/evaluation/test_metrics.py": "one place for the values of all metrics",
    "tests/test_broken_plugins.py": "a table of the ways in which people break a flow",
}


def read(path: Path) -> str:
    """The text of a tracked file; pictures have none."""
    return path.read_bytes().decode(errors="ignore") if path.suffix != ".png" else ""


def test_packages_import_only_from_the_layers_below():
    # In a process of its own, since it silences the loggers of the one that it runs in.
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_what_runs_at_every_command_imports_nothing_heavy():
    # One after another in one process: what the first brings in is laid at its door.
    show = f"print(module, *sorted({HEAVY} & sys.modules.keys()))"
    program = f"import sys\nfor module in {LIGHT}:\n    __import__(module)\n    {show}"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == LIGHT


def test_python_files_are_short():
    lengths = {str(path.relative_to(ROOT)): len(read(path).splitlines()) for path in TRACKED if path.suffix == ".py"}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES and name not in LONGER} == {}


def test_no_file_names_a_place_of_one_machine():
    place = re.compile(r"(?<![\w.~])/(?:home|root|work|Users)/")
    assert [path for path in TRACKED if path != Path(__file__) and place.search(read(path))] == []


def locked() -> dict[str, Requirement]:
    """The lock's requirements by name; a line that is no requirement is an error."""
    lines = (
        line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    )
    requirements = [Requirement(line) for line in lines if line]
    return {requirement.name: requirement for requirement in requirements}


def test_lock_pins_each_package_and_names_no_host():
    # Nor a local version such as 2.0+cpu, which only some hosts have.
    assert "://" not in (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert {name for name, r in locked().items() if not re.fullmatch(r"==[^,*+]+", str(r.specifier))} == set()


def test_lock_holds_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = (
        project["project"]["dependencies"],
        project["dependency-groups"]["dev"],
        project["build-system"]["requires"],
    )
    asked = [Requirement(line) for group in groups for line in group]
    pins = {name: str(requirement.specifier).removeprefix("==") for name, requirement in locked().items()}
    stale = [r for r in asked if not r.specifier.contains(pins.get(r.name, "0"), prereleases=True)]
    assert stale == [], "run `make lock`"
