"""``flowbench open``: a report or MLflow in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flowbench import config
from flowbench.cli.arguments import complete_suite, load_suite
from flowbench.config import ConfigError, suites
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.files import without_secrets
from flowbench.runtime.mirror import is_url

MLFLOW = "mlflow"
_HOST = "127.0.0.1"


def _what(incomplete: str) -> list[str]:
    return [*complete_suite(incomplete), *([MLFLOW] if MLFLOW.startswith(incomplete) else [])]


def open_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="[SUITE|FOLDER|mlflow]", help="Whose report: a suite, or a benchmark.", autocompletion=_what
        ),
    ] = suites.DEFAULT,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of MLflow's server.")] = 5000,
) -> None:
    """Open a report, or MLflow, in the browser.

    MLflow's server is started for this machine alone.
    The server takes up to a minute to start, and Ctrl-C ends it. Where there is no browser, the address is printed.
    """
    if what == MLFLOW:
        config.load_here()
        _open_mlflow(port)
        return
    pages = _pages(what := str(Path(what)))
    if what not in pages:
        raise ConfigError(_no_report(what, pages))
    _show(pages[what].absolute().as_uri(), str(pages[what]))


def _pages(what: str) -> dict[str, Path]:
    """The page of each report here: of a suite by its name, and of a benchmark also by its folder, as in ``what``."""
    found = {page.parent.name: page for page in sorted(Path("reports").glob("*/index.html"))}
    for page in [*sorted(Path().glob("*/reports/*/index.html")), *Path(what).glob("reports/*/index.html")]:
        folder = page.parents[2]
        # A benchmark has no pipeline at its root, and a clone has.
        if (folder / config.PARAMS).is_file() and not (folder / suites.PIPELINE).is_file():
            found.setdefault(page.parent.name, page)
            found[str(folder)] = page
    return found


def _no_report(what: str, pages: dict[str, Path]) -> str:
    """Why there is nothing to open, and what there is."""
    if what in suites.names():
        return f"reports/{what}/index.html: there is no report yet; run {load_suite(what, config.load_here()).repro}"
    there, known = (", ".join(names) or "none" for names in (pages, suites.names()))
    return f"argument {what!r}: no such report; reports here: {there}; suites: {known}"


def _show(url: str, shown: str) -> None:
    print(shown, flush=True)
    webbrowser.open(url)


def _open_mlflow(port: int) -> None:
    from flowbench.tracking.store import store_uri

    uri = store_uri()
    if is_url(uri):  # a server that somebody has started
        _show(uri, without_secrets(uri))
        return
    url = f"http://{_HOST}:{port}"
    if _answers(port):
        raise ConfigError(f"{url}: is in use, maybe by MLflow itself; open it there, or choose another --port")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port), "--backend-store-uri", uri]
    command += ["--workers", "1"]  # one reader; its own four would each take seconds to start
    # In a group of its own, since each of its processes would show a traceback at Ctrl-C.
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    before = {kind: signal.signal(kind, _end) for kind in (signal.SIGTERM, signal.SIGHUP)}
    try:
        while not _answers(port):
            if server.poll() is not None:
                raise ExpectedError(f"mlflow ui: ended with the status {server.returncode}, as it says above")
            time.sleep(0.2)
        _show(url, url)
        server.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _end(number: int, frame: object) -> NoReturn:
    """End as if an error was raised, so that the server ends too."""
    sys.exit(128 + number)


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1.0)
        return connection.connect_ex((_HOST, port)) == 0
