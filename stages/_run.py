"""What all stages share: the command line, and how their errors end."""

import errno
import sys
from collections.abc import Callable

import typer

from flowbench.config import ConfigError
from flowbench.runtime.errors import ExpectedError

# The errors of a disk that is full, read-only or broken, and of files that belong to another user.
_REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


def run(main: Callable[..., None]) -> None:
    """Run a stage with the arguments of the command line.

    An error that the user can mend ends the stage with its message: with status 2 if the mistake is in
    ``params.yaml``, and with status 1 if not. Any other error is a defect and shows its traceback.
    """
    # A plain traceback, because a log file cannot hold a coloured one.
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ExpectedError as error:
        sys.exit(str(error))
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        path = error.filename2 or error.filename or "the folder of temporary files"
        sys.exit(f"{path}: {error.strerror}; once that is mended, run it again")
