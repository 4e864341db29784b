"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_UNFINISHED = ".unfinished-"


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files and folders move into ``folder`` when the block ends without an error.

    What stands in ``folder`` under the same names is replaced. A block that fails or is killed leaves ``folder``
    as it was; the next call clears away what a killed one left behind.

    Raises:
        OSError: a file cannot be written, for instance for want of space; it names ``folder`` if nothing else.
    """
    scratch = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_behind in folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_behind, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        yield scratch
        for path in sorted(scratch.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
    except OSError as error:
        # A write that fails does not say where, and what is unfinished will be gone.
        if error.filename is None or _UNFINISHED in str(error.filename):
            error.filename = str(folder)
        raise
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whose name shows it only when all of it is on the disk."""
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # on a full disk above all
        raise


def without_secrets(text: str) -> str:
    """``text`` without the users, passwords and queries of the URLs in it, which no message may show.

    Passwords may hold what a URL should have encoded. Where they cannot be told from the rest, nothing of it is shown.
    """
    return re.sub(r"(\w://)(\S+)", lambda url: url[1] + _place(url[2]), text)


def _place(address: str) -> str:
    """Host and path of what follows the ``://`` of a URL."""
    host = address.partition("/")[0]
    # Without a colon before the first slash there is no password, and an @ behind it is one of the path.
    user, at, _ = (address if ":" in host else host).rpartition("@")
    if "?" in user:  # a password's, or that of a query which holds an @
        return "…"
    return address[len(user + at) :].partition("?")[0]


def md5(path: Path) -> str:
    """The digest of a file by which DVC and publishers of data know it; it protects from accidents alone."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_folder(folder: Path) -> str:
    """As DVC digests a folder: the MD5 of a JSON list of its files, each with its own."""
    files = [
        {"md5": md5(path), "relpath": path.relative_to(folder).as_posix()}
        for path in folder.rglob("*")
        if path.is_file()
    ]
    text = json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is the same, byte for byte, for the same content."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
