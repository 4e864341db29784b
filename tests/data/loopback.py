"""A server on the loopback interface that serves files, and misbehaves where a test asks it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["Handler", bytes], None]


class Server(ThreadingHTTPServer):
    """Serves ``files``; those that ``behaviour`` names are served by that function instead.

    ``asked`` notes the path and the ``Range`` of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, Behaviour] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        self.server.asked.append((path, self.headers["Range"]))
        if path not in self.server.files:
            self.send_error(404)
        else:
            self.server.behaviour.get(path, in_ranges)(self, self.server.files[path])

    def answer(self, content: bytes, length: int, status: int = 200, kind: str = "application/octet-stream") -> None:
        """Send ``content``, having announced ``length`` bytes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def start(self) -> int:
        """The first byte that was asked for."""
        return int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


def in_ranges(handler: Handler, content: bytes) -> None:
    start = handler.start()
    if start >= len(content):
        handler.send_error(416)
    else:
        handler.answer(content[start:], len(content) - start, 206 if handler.headers["Range"] else 200)


def whole_only(handler: Handler, content: bytes) -> None:
    handler.answer(content, len(content))


def truncated(handler: Handler, content: bytes) -> None:
    in_ranges(handler, content[: len(content) // 2])


def altered(handler: Handler, content: bytes) -> None:
    middle = len(content) // 2
    in_ranges(handler, content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


def another_file(handler: Handler, content: bytes) -> None:
    in_ranges(handler, b"something else")


def empty(handler: Handler, content: bytes) -> None:
    handler.answer(b"", 0)


def error_page(handler: Handler, content: bytes) -> None:
    handler.answer(page := b"<html>Log in first</html>", len(page), kind="text/html; charset=utf-8")


def not_found(handler: Handler, content: bytes) -> None:
    handler.send_error(404)


def failing(handler: Handler, content: bytes) -> None:
    handler.send_error(500)


def hanging_up(handler: Handler, content: bytes) -> None:
    """Answers no request at all."""
    handler.connection.close()


def dropping(handler: Handler, content: bytes) -> None:
    """Hangs up after a third of the file, wherever it began."""
    start = handler.start()
    handler.answer(content[start : start + len(content) // 3], len(content) - start, 206 if start else 200)


def dropping_whole(handler: Handler, content: bytes) -> None:
    """Hangs up after a third, and can only begin at the beginning."""
    handler.answer(content[: len(content) // 3], len(content))


def stalling(handler: Handler, content: bytes) -> None:
    """Says nothing more after a third of the file."""
    handler.answer(content[: len(content) // 3], len(content))
    handler.wfile.flush()
    handler.server.over.wait(10)


def stalling_once(handler: Handler, content: bytes) -> None:
    (in_ranges if handler.start() else stalling)(handler, content)
