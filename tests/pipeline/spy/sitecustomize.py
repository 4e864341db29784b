"""Notes which of the project's files each stage reads. Python runs this file first, for `Clone` puts it on its path."""

import functools
import gc
import os
import sys


@functools.cache
def notes(*stage: str) -> int:
    return os.open(os.path.join(os.environ["SPY_NOTES"], "@".join(stage)), os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(event: str, arguments: tuple) -> None:
    # Asked each time, because a stage may be a fork of a process that has started as something else.
    if event != "open" or sys.orig_argv[1:2] != ["-m"] or not sys.orig_argv[2].startswith("stages."):
        return
    if "SPY_NOTES" not in os.environ:  # of a fork that nobody watches
        return
    if isinstance(arguments[0], int) or arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    root = os.path.join(os.getcwd(), "")
    path = os.path.abspath(os.fsdecode(arguments[0]))
    if path.startswith(root):
        stage = notes(sys.orig_argv[2].removeprefix("stages."), *sys.orig_argv[3:])
        os.write(stage, f"{path.removeprefix(root)}\n".encode())


# Most of what DVC and the stages do is to import and to read YAML, which leaves no garbage.
gc.set_threshold(100_000, 50, 100)
if "SPY_NOTES" in os.environ:
    # Forked processes keep it, and nothing that the interpreter imports or opens escapes it.
    sys.addaudithook(note)
