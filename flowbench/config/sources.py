"""Where in the source an object is defined or an error was raised, for messages of one line."""

from __future__ import annotations

import inspect
import sysconfig
import traceback
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).parents[1]
# An error that is raised here was caused by the code that called it: libraries, contracts, and checks of values.
_HELPERS = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
    _PACKAGE / "core",
    _PACKAGE / "config",
)


def file_of(thing: Any) -> str:
    """The file that defines a module, class or function, relative to the repository or the working directory."""
    return _shown(inspect.getsourcefile(thing) or "?")


def explain(error: BaseException) -> str:
    """An error as ``file:line: type: message``, in one line.

    The file and line are those of a syntax error; else the last line of the traceback that belongs neither to a library
    nor to the helpers that all packages call.
    """
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return ": ".join(filter(None, [_place(error), type(error).__name__, first]))


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}"
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [frame for frame in frames if not _is_helper(frame[0])] or frames
    return f"{_shown(own[-1][0])}:{own[-1][1]}" if own else ""


def _is_helper(name: str) -> bool:
    """Whether a frame's file is generated code, a library or one of our helpers."""
    return name.startswith("<") or any(Path(name).is_relative_to(folder) for folder in _HELPERS)


def _shown(name: str) -> str:
    for folder in (Path.cwd(), _PACKAGE.parent):
        if Path(name).is_relative_to(folder):
            return str(Path(name).relative_to(folder))
    return name
