"""Stages that start warm: forks of one process that has imported torch, instead of processes that import it anew.

Python, torch and the libraries beside it take seconds to start, and a suite has a stage for each step of each cell.
Within `warm`, ``python -m stages.<name>`` asks a server for a fork of itself, and ends as the fork does. Without a
server a stage runs as usual. The project's own code is imported after the fork, so an edit counts at once.

``python -m flowbench.runtime.warm COMMAND`` runs a command, such as ``dvc repro``, in such a block.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# The path of the server's socket.
VARIABLE = "FLOWBENCH_WARM"
# What stages import beside the project's own code, as far as none of it starts a thread.
PRELOADED = (
    "torch",
    "torchdiffeq",
    "scipy.optimize",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "mpl_toolkits",
    "PIL.Image",
    "safetensors.torch",
    "typer",
    "pydantic",
    "ruamel.yaml",
    "tqdm",
)
# What libraries and Python read from the environment once, when they start.
_READ_ONCE = (
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "OPENBLAS_",
    "MPL",
    "TORCH",
    "PYTORCH_",
    "PYTHON",
    "LD_",
    "MALLOC_",
    "LANG",
    "LC_",
)
_SERVE = "--serve"
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1
_STATUS = struct.Struct("i")
_SIZE = struct.Struct("I")


@contextmanager
def warm(environment: Mapping[str, str], preloaded: Sequence[str] = PRELOADED) -> Iterator[Mapping[str, str]]:
    """A block in which stages start warm if they are given the environment that it yields.

    Args:
        environment: to which the server is added; it stays as it is where it has one, and where the system cannot
            watch processes by descriptors, as outside of Linux.
        preloaded: modules that the server imports.
    """
    if VARIABLE in environment or not hasattr(os, "pidfd_open"):
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="flowbench-") as folder:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path := str(Path(folder, "warm")))
            listener.listen()  # now, so that the first stage waits for the server to have imported all
            command = [sys.executable, "-m", "flowbench.runtime.warm", _SERVE, str(listener.fileno()), *preloaded]
            # The server ends when its standard input does, however this process ends.
            server = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=[listener.fileno()])
        with server:
            yield {**environment, VARIABLE: path}


def for_stages() -> dict[str, str]:
    """The environment of a DVC whose stages run with this interpreter, and draw no bars where nobody sees them."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    usual = {"OMP_WAIT_POLICY": "passive", **({} if sys.stderr.isatty() else {"TQDM_DISABLE": "1"})}
    return {**usual, **os.environ, "PATH": path}


def hand_over() -> None:
    """In a process that was started as ``python -m stages.<name>``: let a server run it, if there is one.

    Returns where there is none; otherwise this process ends as the stage does.
    """
    path, stage = os.environ.pop(VARIABLE, ""), sys.orig_argv[2:]
    if not path or sys.orig_argv[1:2] != ["-m"] or not stage[0].startswith("stages."):
        return
    deaf = [number for number in (signal.SIGINT, *_FORWARDED) if signal.getsignal(number) == signal.SIG_IGN]
    request = {
        "stage": stage,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "circumstances": _circumstances(),
        "group": os.getpgrp(),
        "deaf": deaf,
    }
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(path)
            text = json.dumps(request).encode()
            socket.send_fds(server, [_SIZE.pack(len(text))], [0, 1, 2])
            server.sendall(text)
            accepted = server.recv(1)
        except OSError:
            return
        if not accepted:
            return
        # The fork is in the group of this process, so that Ctrl-C reaches both.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def forward(number: int, _: Any) -> None:
            try:
                server.sendall(bytes([number]))
            except OSError:
                _end_as(-number)

        for number in _FORWARDED:
            if number not in deaf:
                signal.signal(number, forward)
        with suppress(ConnectionError):
            if status := _receive(server, _STATUS.size):
                _end_as(_STATUS.unpack(status)[0])
    print(f"{stage[0]}: the process that it was forked from has been ended; run it again", file=sys.stderr)
    _end_as(1)


def _end_as(status: int) -> None:
    """End this process with a status, or by the signal that a negative one stands for."""
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.stderr.flush()
    os._exit(status)


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes; none if the other side ends before."""
    found = b""
    while len(found) < size:
        if not (part := connection.recv(size - len(found))):
            return b""
        found += part
    return found


class _Fork(Exception):
    """Raised in a new process: what it has to run."""


def _serve(listener: socket.socket, circumstances: dict[str, Any]) -> None:
    """Fork a process for each request, until standard input ends and all forks have ended.

    Args:
        circumstances: of this process when it started. Libraries change theirs.

    Raises:
        _Fork: in each fork.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: dict[int, tuple[int, socket.socket]] = {}
    with listener, selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        open_ = True
        while open_ or running:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    open_ = False
                    selector.unregister(sys.stdin)
                    selector.unregister(listener)
                    listener.close()
                elif key.fileobj is listener:
                    connection, _ = listener.accept()
                    if forked := _accept(connection, [one for _, one in running.values()], circumstances):
                        watch = os.pidfd_open(forked)
                        running[watch] = forked, connection
                        selector.register(watch, selectors.EVENT_READ)
                        selector.register(connection, selectors.EVENT_READ, watch)
                elif key.data is not None:  # the one who asked says a signal, or has been killed
                    number = key.fileobj.recv(1)  # type: ignore[union-attr]
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(key.data, number[0] if number else signal.SIGKILL)
                    if not number:
                        selector.unregister(key.fileobj)
                else:
                    forked, connection = running.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    with suppress(KeyError):
                        selector.unregister(connection)
                    status = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
                    with suppress(OSError), connection:
                        connection.sendall(_STATUS.pack(status))


def _accept(connection: socket.socket, others: list[socket.socket], circumstances: dict[str, Any]) -> int:
    """The process that runs what a connection asks for; 0 if this one cannot stand in for it."""
    request: dict[str, Any] = {}
    descriptors: list[int] = []
    forked = 0
    with suppress(ConnectionError, ValueError):  # the one who asks may be gone already
        head, descriptors, _, _ = socket.recv_fds(connection, _SIZE.size, 3)
        if len(head) == _SIZE.size and (text := _receive(connection, _SIZE.unpack(head)[0])):
            request = json.loads(text)
    if request.get("circumstances") == circumstances:
        if not (forked := os.fork()):
            for one in (connection, *others):
                one.close()
            raise _Fork(request, descriptors)
        with suppress(ConnectionError):
            connection.sendall(b"y")
    else:
        connection.close()
    for descriptor in descriptors:
        os.close(descriptor)
    return forked


def _circumstances() -> dict[str, Any]:
    """What a fork has of its parent and a stage of the one who started it. Where they differ, no fork can stand in."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return {
        "environment": {name: value for name, value in os.environ.items() if name.startswith(_READ_ONCE)},
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
        "namespaces": [os.readlink(path) for path in sorted(Path("/proc/self/ns").iterdir())],
        "processors": sorted(os.sched_getaffinity(0)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "status": [line for line in status.splitlines() if line.startswith(("Umask", "Uid", "Gid", "Groups", "Cap"))],
    }


def _become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Make this fork what the process that asked would have been, and run its module."""
    # Without the server nobody would end this process where the one who asked is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The server may have been started under nohup, and the one who asked not, or the other way round.
    for number in (signal.SIGINT, *_FORWARDED):
        heard = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in request["deaf"] else heard)
    with suppress(OSError):  # the one who asked may be in another session
        os.setpgid(0, request["group"])
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    sys.argv, sys.orig_argv[:] = request["stage"], [sys.executable, "-m", *request["stage"]]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("flowbench", "stages")]:
        del sys.modules[name]
    runpy.run_module(request["stage"][0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if sys.argv[1:2] != [_SERVE]:
        with warm(os.environ) as _environment:
            sys.exit(subprocess.run(sys.argv[1:], env=_environment, check=False).returncode)
    _listener, *_modules = sys.argv[2:]
    _at_start = json.loads(json.dumps(_circumstances()))
    for _module in _modules:
        importlib.import_module(_module)
    gc.freeze()  # or the first collection in each fork would copy all of it
    try:
        _serve(socket.socket(fileno=int(_listener)), _at_start)
    except _Fork as _fork:
        _asked = _fork.args
    else:
        sys.exit()
    _become(*_asked)
