"""A stage that starts warm is the stage that starts cold, but for the time."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowbench.runtime.warm import VARIABLE, warm

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="stages start cold here")
MARK = "colorsys"  # a module that nothing here needs, so that it tells who imported it
SHOW = f"""
import json, os, sys
warm = {MARK!r} in sys.modules
print(json.dumps({{"argv": sys.argv, "orig": sys.orig_argv[1:], "folder": os.getcwd(), "path": sys.path[0],
    "me": os.environ.get("ME"), "told": os.environ.get({VARIABLE!r}), "group": os.getpgrp(), "name": __name__}}))
print("warm" if warm else "cold", file=sys.stderr)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two stages: ``show`` says what it is, ``wait`` says its process and waits."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "__init__.py").write_text(
        "from flowbench.runtime.warm import hand_over\n\nhand_over()\n", encoding="utf-8"
    )
    (tmp_path / "stages" / "show.py").write_text(SHOW, encoding="utf-8")
    (tmp_path / "stages" / "end.py").write_text("import sys\n\nsys.exit(int(sys.argv[1]))\n", encoding="utf-8")
    wait = "import os, time\n\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    (tmp_path / "stages" / "wait.py").write_text(wait, encoding="utf-8")
    return tmp_path


def start(project: Path, environment, *arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": project} | options
    return subprocess.Popen(command, env=environment, **options)


def hear() -> None:
    """What a script runs in the background, or under nohup, is deaf to signals, and so are its children."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def shown(project: Path, environment, **options) -> tuple[dict, str]:
    process = start(project, environment, "stages.show", "one", "two words", **options)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return json.loads(output), errors.strip()


def test_a_warm_stage_is_the_cold_one(project):
    plain = {**os.environ, "ME": "mine"}
    cold, how = shown(project, plain)
    assert how == "cold"
    with warm(plain, [MARK]) as environment:
        for _ in range(2):
            assert shown(project, environment) == (cold, "warm")
        other = {**environment, "ME": "yours"}
        assert shown(project, other)[0]["me"] == "yours"
    # The server is gone.
    assert shown(project, environment) == (cold, "cold")


def test_a_block_within_a_block_asks_the_same_server(project):
    with warm(os.environ, [MARK]) as environment, warm({**environment, "ME": "mine"}, ["no_such_module"]) as inner:
        assert inner == {**environment, "ME": "mine"}
        assert shown(project, inner)[1] == "warm"


def test_an_edit_counts_at_once(project):
    with warm(os.environ, [MARK]) as environment:
        assert shown(project, environment)[1] == "warm"
        (project / "stages" / "show.py").write_text("print('[]')", encoding="utf-8")
        assert shown(project, environment) == ([], "")


@pytest.mark.parametrize(
    "options",
    [
        {"preexec_fn": lambda: os.umask(0o027)},
        {"preexec_fn": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})},
    ],
    ids=["umask", "processors"],
)
def test_what_a_fork_cannot_stand_in_for_starts_cold(project, options):
    if "processors" in os.environ.get("PYTEST_CURRENT_TEST", "") and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("one processor alone")
    with warm(os.environ, [MARK]) as environment:
        assert shown(project, environment, **options)[1] == "cold"
        assert shown(project, {**environment, "OMP_NUM_THREADS": "7"})[1] == "cold"
        assert shown(project, environment)[1] == "warm"


def test_a_stage_ends_with_its_status(project):
    with warm(os.environ, [MARK]) as environment:
        for status in (0, 1, 2, 77):
            process = start(project, environment, "stages.end", str(status))
            process.communicate(timeout=60)
            assert process.returncode == status


def test_an_error_shows_its_traceback(project):
    (project / "stages" / "break.py").write_text("raise RuntimeError('broken')", encoding="utf-8")
    with warm(os.environ, [MARK]) as environment:
        process = start(project, environment, "stages.break")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.strip().endswith("RuntimeError: broken")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_the_stage(project, number):
    with warm(os.environ, [MARK]) as environment:
        process = start(project, environment, "stages.wait", preexec_fn=hear)
        stage = int(process.stdout.readline())
        assert stage != process.pid
        process.send_signal(number)
        assert process.wait(60) == -number
        ended(stage)


def test_a_stage_hears_what_the_one_who_asked_hears(project):
    """Not what the server hears, which may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with warm(os.environ, [MARK]) as environment:
            process = start(project, environment, "stages.wait", preexec_fn=hear)
            int(process.stdout.readline())
            process.send_signal(signal.SIGHUP)
            assert process.wait(60) == -signal.SIGHUP
            deaf = start(project, environment, "stages.wait")
            int(deaf.stdout.readline())
            deaf.send_signal(signal.SIGHUP)
            deaf.send_signal(signal.SIGTERM)
            assert deaf.wait(60) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_reaches_the_stage_once(project):
    with warm(os.environ, [MARK]) as environment:
        process = start(project, environment, "stages.wait", process_group=0, preexec_fn=hear)
        int(process.stdout.readline())
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.count("KeyboardInterrupt") == 1


def test_a_stage_that_is_killed_says_so(project):
    with warm(os.environ, [MARK]) as environment:
        process = start(project, environment, "stages.wait")
        os.kill(int(process.stdout.readline()), signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL


def test_without_its_server_a_stage_ends_and_says_so(project):
    with warm(os.environ, [MARK]) as environment:
        process = start(project, environment, "stages.wait")
        stage = int(process.stdout.readline())
        of_stage = Path(f"/proc/{stage}/stat").read_text(encoding="utf-8")
        os.kill(int(of_stage.rpartition(")")[2].split()[1]), signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert errors == "stages.wait: the process that it was forked from has been ended; run it again\n"
        ended(stage)


def test_those_who_ask_and_go_leave_the_server_to_others(project):
    with warm(os.environ, [MARK]) as environment:
        processes = [start(project, environment, "stages.wait") for _ in range(3)]
        time.sleep(1)
        for process in processes:
            process.kill()
        assert shown(project, environment)[1] == "warm"
        for said in (b"", b"\0", b"\xff\xff\0\0", b"\2\0\0\0{}"):
            with socket.socket(socket.AF_UNIX) as other:
                other.connect(environment[VARIABLE])
                other.sendall(said)
        assert shown(project, environment)[1] == "warm"


def test_many_stages_run_at_once(project):
    with warm(os.environ, [MARK]) as environment:
        processes = [start(project, environment, "stages.show") for _ in range(8)]
        assert [process.communicate(timeout=60)[1].strip() for process in processes] == 8 * ["warm"]


def test_a_server_that_cannot_start_costs_nothing_but_time(project):
    with warm(os.environ, ["no_such_module"]) as environment:
        assert shown(project, environment)[1] == "cold"


def test_a_command_runs_in_a_block(project):
    command = [sys.executable, "-m", "flowbench.runtime.warm", sys.executable, "-m", "stages.end", "7"]
    assert subprocess.run(command, cwd=project, check=False).returncode == 7


def ended(pid: int) -> None:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"{pid} lives on")
