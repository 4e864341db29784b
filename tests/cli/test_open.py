"""``flowbench open``: a report or MLflow in a browser, and what is printed where there is none."""

import signal
import socket
import webbrowser
from pathlib import Path

import pytest

from flowbench.cli import open as opening
from tests.cli.commands import run


@pytest.fixture(autouse=True)
def opened(monkeypatch) -> list[str]:
    """What a browser was asked to show; it cannot."""
    found: list[str] = []

    def show(url: str) -> bool:
        found.append(url)
        return False

    monkeypatch.setattr(webbrowser, "open", show)
    return found


@pytest.fixture
def port() -> int:
    """A port that is free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_report(opened):
    page = Path("reports/toy/index.html")
    page.parent.mkdir(parents=True)
    page.write_text("", encoding="utf-8")
    result = run("open", "toy")
    assert (result.exit_code, result.output) == (0, "reports/toy/index.html\n")
    assert opened == [page.absolute().as_uri()]


def test_no_report(fail):
    assert fail("open") == "reports/laptop/index.html: there is no report yet; run dvc repro\n"
    told = fail("open", "lapto")
    assert told.startswith("argument 'lapto': no such report; reports here: none; suites: laptop, ")


def test_the_report_of_a_benchmark_is_found_by_its_name_and_its_folder(opened, fail, tmp_path):
    page = Path("mine-bench/reports/mine/index.html")
    page.parent.mkdir(parents=True)
    page.write_text("", encoding="utf-8")
    assert "reports here: none" in fail("open", "mine")  # a folder that is no benchmark
    Path("mine-bench/params.yaml").write_text("", encoding="utf-8")
    clone = Path("clone/reports/toy/index.html")
    clone.parent.mkdir(parents=True)
    for path in (clone, Path("clone/params.yaml"), Path("clone/dvc.yaml")):
        path.write_text("", encoding="utf-8")
    for name in ("mine", "mine-bench", "mine-bench/", str(tmp_path / "mine-bench")):
        assert run("open", name).exit_code == 0, name
    assert opened == [page.absolute().as_uri()] * 4
    assert "argument 'images2': no such report; reports here: mine, mine-bench; suites: laptop, " in fail(
        "open", "images2"
    )


class Server:
    """In place of `mlflow ui`: it answers on its port, or ends at once."""

    fails = False
    pid = -1

    def __init__(self, command: list[str], **options):
        self.returncode = 3 if self.fails else None
        self.socket = socket.socket()
        if not self.fails:
            self.socket.bind((command[command.index("--host") + 1], int(command[command.index("--port") + 1])))
            self.socket.listen()

    def poll(self):
        return self.returncode

    def wait(self):
        return self.returncode


@pytest.fixture
def server(monkeypatch):
    """The server that is started, and whether its processes were ended."""
    started: list[Server] = []

    def start(*arguments, **options) -> Server:
        started.append(Server(*arguments, **options))
        return started[0]

    def end(group: int, number: int) -> None:
        assert (group, number) == (Server.pid, signal.SIGTERM)
        started[0].socket.close()

    monkeypatch.setattr(opening.subprocess, "Popen", start)
    monkeypatch.setattr(opening.os, "killpg", end)
    yield started
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_mlflow_is_started_for_this_machine(server, opened, port):
    result = run("open", "mlflow", "--port", str(port))
    assert (result.exit_code, result.output) == (0, f"http://127.0.0.1:{port}\n")
    assert opened == [f"http://127.0.0.1:{port}"]
    assert not opening._answers(port)


def test_mlflow_that_does_not_start(monkeypatch, server, fail, opened, port):
    monkeypatch.setattr(Server, "fails", True)
    assert fail("open", "mlflow", "--port", str(port)).startswith("mlflow ui: ended with the status 3")
    assert opened == []


def test_a_port_that_is_taken(fail, opened):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert fail("open", "mlflow", "--port", str(port)).startswith(f"http://127.0.0.1:{port}: is in use")
    assert opened == []


def test_a_server_that_somebody_started(monkeypatch, opened):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@example.org/mlflow")
    assert run("open", "mlflow").output == "https://example.org/mlflow\n"
    assert opened == ["https://me:secret@example.org/mlflow"]
