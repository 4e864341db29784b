"""Notes which of the project's files each stage reads. Python runs this file first, for `Clone` puts it on its path."""

import os
import sys

if sys.orig_argv[1:2] == ["-m"] and sys.orig_argv[2].startswith("stages."):
    root = os.path.join(os.getcwd(), "")
    stage = "@".join([sys.orig_argv[2].removeprefix("stages."), *sys.orig_argv[3:]])
    notes = os.open(os.path.join(os.environ["SPY_NOTES"], stage), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, arguments: tuple) -> None:
        if event != "open" or isinstance(arguments[0], int) or arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(root):
            os.write(notes, f"{path.removeprefix(root)}\n".encode())

    # Forked processes keep it, and nothing that the interpreter imports or opens escapes it.
    sys.addaudithook(note)
