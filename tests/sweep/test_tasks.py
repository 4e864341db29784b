"""What a sweep runs, in which order and where, and when it refuses to begin."""

import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from flowbench import config, sweep
from flowbench.config import Suite, suites
from flowbench.records import lock
from flowbench.runtime.files import write_json
from flowbench.sweep import Task, attempt, entries, pool

ROOT = Path(__file__).parents[2]
PARAMS = config.load(ROOT / "params.yaml")
SUITES = {name: suites.load(name, PARAMS, ROOT) for name in suites.names(ROOT)}
SMOKE = SUITES["smoke"]
STUDENT, TEACHER = next((key, cell.teacher) for key, cell in SMOKE.cells.items() if cell.teacher)


def test_a_student_is_made_behind_its_teacher():
    found = sweep.tasks(SMOKE, {STUDENT: 1.0, "moons-nice": 4.0, TEACHER: 2.0})
    assert [(task.keys, task.seconds) for task in found] == [((TEACHER, STUDENT), 3.0), (("moons-nice",), 4.0)]
    stages = [name.partition(":")[2] for name in found[0].stages]
    assert stages == [f"train@{TEACHER}", f"evaluate@{TEACHER}", f"train@{STUDENT}", f"evaluate@{STUDENT}"]


def test_a_teacher_that_is_up_to_date_comes_along():
    """DVC restores it in the clone, where the student's training needs it."""
    assert [(task.keys, task.seconds) for task in sweep.tasks(SMOKE, {STUDENT: 1.0})] == [((TEACHER, STUDENT), 1.0)]


def test_the_longest_come_first_and_those_without_a_time_before_them():
    tasks = [Task(SMOKE, (name,), seconds) for name, seconds in (("a", 1.0), ("b", None), ("c", 3.0), ("d", 2.0))]
    ordered = sweep.longest_first(tasks)
    assert [task.label for task in ordered] == ["b", "c", "d", "a"]
    assert [sweep.makespan(ordered, workers) for workers in (1, 2, 3)] == [6.0, 3.0, 3.0]
    assert sweep.makespan([], 2) == 0.0


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [({0, 1, 2, 5}, 2, [{0, 2}, {1, 5}]), ({3}, 2, [{3}, {3}]), ({0, 1}, 1, [{0, 1}])],
)
def test_workers_share_the_cores(monkeypatch, cores, workers, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    assert pool.shares(workers) == expected


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_that_is_cut_has_the_same_cells(name, tmp_path):
    """Or DVC would take another cell's parameters."""
    suite = SUITES[name]
    path = tmp_path / suite.source
    path.parent.mkdir()
    keys = [key for key, cell in suite.cells.items() if cell.teacher is None][::3]
    keys += [key for key, cell in suite.cells.items() if cell.teacher in keys]
    write_json(path, attempt._blocks(Suite(name, suite.about, {key: suite.cells[key] for key in keys})))
    assert suites.load(name, PARAMS, tmp_path).cells == {key: suite.cells[key] for key in keys}


def published(root: Path, key: str, digest: str) -> None:
    """What a worker publishes of a cell."""
    stages = {f"{step}@{key}": {"cmd": f"{step} {key}", "outs": [digest]} for step in ("train", "evaluate")}
    workspace = root / "attempt"
    (workspace / SMOKE.folder).mkdir(parents=True, exist_ok=True)
    (workspace / lock.path_of(SMOKE)).unlink(missing_ok=True)
    entries.write(workspace / lock.path_of(SMOKE), stages)
    entries.publish(root, SMOKE, "c0ffee", [key], workspace)


def test_published_entries_are_merged_in_the_order_of_the_cells(tmp_path):
    (tmp_path / SMOKE.folder).mkdir(parents=True)
    first, second, third = list(SMOKE.cells)[:3]
    path = tmp_path / lock.path_of(SMOKE)
    published(tmp_path, second, "old")
    assert entries.merge(tmp_path, SMOKE, "c0ffee") == [second]
    for key in (third, second, first):
        published(tmp_path, key, "new")
    assert entries.merge(tmp_path, SMOKE, "another commit") == []
    assert entries.merge(tmp_path, SMOKE, "c0ffee") == [first, second, third]
    merged = lock.recorded(path)
    # What was there keeps its place.
    assert [name.partition("@")[2] for name in merged] == [second, second, first, first, third, third]
    assert {entry["outs"][0] for entry in merged.values()} == {"new"}
    before = path.read_bytes()
    assert entries.merge(tmp_path, SMOKE, "c0ffee") == []
    assert path.read_bytes() == before


def test_half_a_cell_is_not_published(tmp_path):
    (tmp_path / SMOKE.folder).mkdir(parents=True)
    key = next(iter(SMOKE.cells))
    entries.write(tmp_path / lock.path_of(SMOKE), {f"train@{key}": {"cmd": "train"}})
    with pytest.raises(KeyError):
        entries.publish(tmp_path, SMOKE, "c0ffee", [key], tmp_path)
    assert not list(entries.place(tmp_path, SMOKE, "c0ffee").glob("*"))


def test_the_lock_is_written_in_the_words_of_dvc(tmp_path):
    """So that a sweep and `dvc repro` leave the same bytes."""
    recorded = ROOT / "stages" / "dvc.lock"
    entries.write(tmp_path / "dvc.lock", lock.recorded(recorded))
    assert (tmp_path / "dvc.lock").read_bytes() == recorded.read_bytes()


def repository(root: Path) -> None:
    (root / "stages").mkdir()
    (root / "flowbench").mkdir()
    for name in ("params.yaml", "flowbench/a.py", "dvc.lock"):
        (root / name).write_text("1", encoding="utf-8")
    for command in (["init"], ["add", "--all"], ["commit", "--message", "."]):
        subprocess.run(["git", *command], cwd=root, capture_output=True, check=True)


@pytest.mark.parametrize("name", ["params.yaml", "flowbench/a.py", "flowbench/new.py"])
def test_a_working_tree_with_changes_is_refused(tmp_path, name):
    repository(tmp_path)
    assert len(sweep.require_committed(tmp_path)) == 40
    (tmp_path / "dvc.lock").write_text("2", encoding="utf-8")  # DVC's own writing is none
    assert len(sweep.require_committed(tmp_path)) == 40
    (tmp_path / name).write_text("2", encoding="utf-8")
    with pytest.raises(sweep.SweepError, match=rf"differs: {name}; commit or stash that$"):
        sweep.require_committed(tmp_path)


def test_no_repository_is_refused(tmp_path):
    with pytest.raises(sweep.SweepError, match="a sweep clones the repository, and git knows none here"):
        sweep.require_committed(tmp_path)


def test_a_worker_that_is_killed_is_tried_again_and_a_failure_is_not(tmp_path, monkeypatch):
    """The attempt is a program that says how often it was started, and ends as the task's name says."""
    program = tmp_path / "attempt.py"
    program.write_text(
        "import json, os, sys\n"
        "asked = json.loads(sys.argv[1])\n"
        "count = open(f\"{asked['root']}/{asked['keys'][0]}\", 'a+')\n"
        "count.write('x'); count.flush(); count.seek(0)\n"
        "tries = len(count.read())\n"
        "{'ends': lambda: None, 'fails': lambda: sys.exit(3), 'always': os.abort,\n"
        " 'once': lambda: os.abort() if tries == 1 else None}[asked['keys'][0]]()\n",
        encoding="utf-8",
    )
    real = subprocess.Popen

    def start(command, **options):
        return real([command[0], str(program), command[-1]], **options)

    monkeypatch.setattr(pool.subprocess, "Popen", start)
    monkeypatch.setattr(pool, "warm", nullcontext)
    tasks = [Task(SMOKE, (name,)) for name in ("ends", "fails", "always", "once")]
    events = list(pool.run(tmp_path, tasks, "c0ffee", tmp_path, workers=2))
    ended = {event.task.label: (event.kind, event.status) for event in events if event.kind != "begun"}
    assert ended == {"ends": ("done", 0), "fails": ("failed", 3), "always": ("failed", -6), "once": ("done", 0)}
    assert {name: len((tmp_path / name).read_text()) for name in ended} == {
        "ends": 1,
        "fails": 1,
        "always": 2,
        "once": 2,
    }
