"""A store of runs that is down, slow, broken or locked holds up ``publish`` alone, and not for long."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flowbench import tracking
from flowbench.config import ConfigError
from tests import fake_results, tiny_cells
from tests.faults import stages
from tests.tiny_cells import VECTORS

SUITE = fake_results.suite({"moons-nice": ("moons", "nice"), "moons-gaussian": ("moons", "gaussian")})
# In the place of the defaults, with which the same takes minutes.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


class Server(ThreadingHTTPServer):
    """Hands requests on to a server at ``port``, if there is one; those for whose path there is a fault meet that.

    ``asked`` notes the paths.
    """

    daemon_threads = True

    def __init__(self, port: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = port
        self.faults: dict[str, Callable[[Handler], None]] = {}
        self.asked: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def handle_request(self) -> None:
        self.server.asked.append(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for part, fault in list(self.server.faults.items()):
            if part in self.path:
                return fault(self)
        return self.hand_on()

    def hand_on(self) -> None:
        assert self.server.port
        connection = HTTPConnection("127.0.0.1", self.server.port)
        connection.request(self.command, self.path, self.body, {"Content-Type": self.headers.get("Content-Type", "")})
        response = connection.getresponse()
        self.answer(response.status, response.read())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def failing(handler: Handler) -> None:
    handler.answer(500, b"Traceback (most recent call last):\n  no space left\n")


def silent(handler: Handler) -> None:
    handler.server.over.wait(600)


def hanging_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def confused(handler: Handler) -> None:
    handler.answer(200, b"<html>\n<p>Log in to the hotel's network</p>\n</html>")


FAULTS = [failing, silent, hanging_up, confused]


def slow(handler: Handler) -> None:
    """Answers in the end, and within the time that a request may take."""
    time.sleep(0.5)
    handler.hand_on()


@contextmanager
def serving(port: int | None = None) -> Iterator[Server]:
    with Server(port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """The suite's result files, with a repository of its own for the store."""
    fake_results.write(tmp_path / "results", SUITE, seeds=1)
    monkeypatch.setattr(tracking.store, "ROOT", tmp_path)
    return tmp_path / "results"


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)


def publish(results: Path) -> dict[str, str]:
    return tracking.publish(SUITE.name, SUITE.cells, results)


def published() -> dict[str, list[str]]:
    """The digests of the runs that are finished, by cell."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking.store_uri())
    experiment = client.get_experiment_by_name(f"flowbench-{SUITE.name}")
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    return {
        key: [run.data.tags[tracking.DIGEST_TAG] for run in runs if run.data.tags.get(tracking.CELL_TAG) == key]
        for key in SUITE.cells
    }


def assert_publishes(results: Path) -> None:
    """Each cell has one run that holds what it left, and the same files come back."""
    digests = publish(results)
    assert published() == {key: [digest] for key, digest in digests.items()}
    again = results.parent / f"fetched-{time.monotonic_ns()}"
    tracking.fetch(SUITE.name, digests, again)
    for key in SUITE.cells:
        wanted = tiny_cells.contents(results / key)
        assert tiny_cells.contents(again / key) == {
            name: content
            for name, content in wanted.items()
            if not name.startswith("trained/") or name.endswith(".json")
        }


@pytest.mark.parametrize("fault", [failing, *(pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS[1:])])
def test_a_broken_server_is_one_line_soon_and_the_next_publish_catches_up(fault, results, monkeypatch, survived):
    with serving() as server:
        server.faults[""] = fault
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        began = time.monotonic()
        with pytest.raises(ConfigError, match=rf"^MLflow at {server.url}: [^\n]+; no result is lost; [^\n]+$"):
            publish(results)
        assert time.monotonic() - began < 30
        assert server.asked
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert_publishes(results)
    survived("faults")


def test_training_and_evaluation_never_ask_for_mlflow_and_publish_says_what_is_wrong(tiny, tmp_path, survived):
    root = tiny.copy(tmp_path / "copy")
    with serving() as server:
        server.faults[""] = failing
        env = IMPATIENT | {"MLFLOW_TRACKING_URI": server.url}
        stages.run(root, "train", "tiny", VECTORS, env=env)
        stages.run(root, "evaluate", "tiny", VECTORS, env=env)
        assert server.asked == []
        line = stages.complaint(root, "publish", "tiny", "--partial", env=env)
        assert line.startswith(f"MLflow at {server.url}: ")
        assert server.asked
    env["MLFLOW_TRACKING_URI"] = server.url  # nobody listens there any more
    line = stages.complaint(root, "publish", "tiny", "--partial", env=env)
    assert line.startswith(f"MLflow at {server.url}: ")
    store = root / "mlflow.db"
    store.write_bytes(b"no database\n" * 1000)
    env["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}"
    line = stages.complaint(root, "publish", "tiny", "--partial", env=env)
    assert line.startswith(f"MLflow at sqlite:///{store}: file is not a database; ")
    assert not (root / "published").exists()
    store.unlink()
    stages.run(root, "publish", "tiny", "--partial", env=env)
    assert VECTORS in (root / "published" / "tiny.json").read_text(encoding="utf-8")
    survived("faults", 3)


def test_a_user_who_sets_nothing_waits_minutes_at_most(monkeypatch, results):
    for name in IMPATIENT:
        monkeypatch.delenv(name)
    publish(results)
    attempts = 1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    assert attempts * int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 150


@pytest.mark.slow
def test_a_user_who_sets_nothing_waits_minutes_at_most_for_a_silent_server(monkeypatch, results, survived):
    for name in IMPATIENT:
        monkeypatch.delenv(name)
    with serving() as server:
        server.faults[""] = silent
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        began = time.monotonic()
        with pytest.raises(ConfigError, match=rf"^MLflow at {server.url}: [^\n]*timed out[^\n]*$"):
            publish(results)
        assert time.monotonic() - began < 180
    survived("faults")


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory) -> Iterator[int]:
    """MLflow's own server, at a port; it takes ten seconds to start."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            try:
                connection = HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    break
            except (OSError, HTTPException):
                pass
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, 9)
        process.wait()


# The requests of which publishing is made, in their order.
REQUESTS = ["experiments/create", "runs/create", "log-batch", "log-inputs", "mlflow-artifacts", "runs/update"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("request_", REQUESTS)
def test_a_server_that_breaks_while_publishing_is_caught_up_with(
    request_, fault, mlflow_server, results, monkeypatch, survived
):
    suite = f"{request_.replace('/', '-')}-{fault.__name__}"
    monkeypatch.setattr(sys.modules[__name__], "SUITE", replace(SUITE, name=suite))
    with serving(mlflow_server) as server:
        server.faults[request_] = fault
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        with pytest.raises(ConfigError, match=rf"^MLflow at {server.url}: [^\n]+$"):
            publish(results)
        server.faults.clear()
        assert_publishes(results)
    survived("faults")


@pytest.mark.slow
def test_a_slow_server_is_waited_for(mlflow_server, results, monkeypatch, survived):
    monkeypatch.setattr(sys.modules[__name__], "SUITE", replace(SUITE, name="slow"))
    for name in IMPATIENT:
        monkeypatch.delenv(name)
    with serving(mlflow_server) as server:
        server.faults[""] = slow
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        assert_publishes(results)
        assert len(server.asked) > len(REQUESTS)
    survived("faults")


@contextmanager
def locked(store: Path) -> Iterator[subprocess.Popen]:
    """Another process holds the database for itself."""
    program = (
        "import sqlite3, sys\n"
        "store = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "store.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        try:
            yield holder
        finally:
            holder.stdin.close()
            holder.wait()


def test_a_locked_store_is_waited_for(results, survived):
    publish(results)
    with (results / "moons-nice" / "seeds.csv").open("a", encoding="utf-8") as file:
        file.write("0,parameters,7.0,,1\n")
    with locked(results.parent / "mlflow.db") as holder:
        threading.Timer(2, holder.stdin.close).start()
        assert_publishes(results)
    survived("faults")


@pytest.mark.slow
def test_an_empty_store_that_stays_locked_is_one_line(results, capfd, survived):
    store = results.parent / "mlflow.db"
    sqlite3.connect(store).close()
    with locked(store), pytest.raises(ConfigError, match=rf"^MLflow at sqlite:///{store}: database is locked[^\n]*$"):
        publish(results)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert_publishes(results)
    survived("faults")


@pytest.mark.slow
def test_a_store_that_stays_locked_is_one_line(results, capfd, survived):
    publish(results)
    with (results / "moons-nice" / "seeds.csv").open("a", encoding="utf-8") as file:
        file.write("0,parameters,7.0,,1\n")
    store = results.parent / "mlflow.db"
    began = time.monotonic()
    with locked(store), pytest.raises(ConfigError, match=rf"^MLflow at sqlite:///{store}: database is locked[^\n]*$"):
        publish(results)
    assert time.monotonic() - began < 60
    assert "Traceback" not in "".join(capfd.readouterr())
    assert_publishes(results)
    survived("faults")
