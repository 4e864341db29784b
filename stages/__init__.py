"""One script per DVC stage; run as ``python -m stages.<name>`` from the repository's root."""

import errno
import sys
from collections.abc import Callable

import typer

from flowbench.config import ConfigError

# What a disk says that is full, read-only or broken, and files that belong to somebody else.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


def run(main: Callable[..., None]) -> None:
    """Run a stage on the command line's arguments.

    A mistake in ``params.yaml`` ends it with one line and status 2; a file that the disk refuses, with one line and 1.
    """
    # A defect of ours shows the plain traceback, which a log file can hold.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        path = error.filename2 or error.filename or "the folder of temporary files"
        sys.exit(f"{path}: {error.strerror}; once that is mended, run it again")
