"""Files that are written whole or not at all."""

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
    """A scratch folder. Its files and folders move into ``folder`` when the block ends without an error.

    They replace those of the same names. If the block fails or is killed, ``folder`` stays as it was. The next call
    removes the scratch folder of a block that was killed.

    Raises:
        OSError: a file cannot be written, for instance on a full disk. The error names ``folder`` or another path.
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
        # The error of a write names no file, and a name in the scratch folder would mean nothing to the user.
        if error.filename is None or _UNFINISHED in str(error.filename):
            error.filename = str(folder)
        raise
    finally:
        if scratch:
            shutil.rmtree(scratch, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that has its name only when all of it is on the disk."""
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # so that a full disk gets its space back
        raise


def without_secrets(text: str) -> str:
    """``text`` without the users, passwords and queries of its URLs, which no message may show.

    A password may hold characters that a URL should encode. If it cannot be separated from the rest of the URL, the
    whole URL is hidden.
    """
    return re.sub(r"(\w://)(\S+)", lambda url: url[1] + _place(url[2]), text)


def _place(address: str) -> str:
    """Host and path of a URL without its scheme."""
    host = address.partition("/")[0]
    # If there is no colon before the first slash, there is no password, and a later @ belongs to the path.
    user, at, _ = (address if ":" in host else host).rpartition("@")
    if "?" in user:  # it belongs to a password, or to a query that holds an @
        return "…"
    return address[len(user + at) :].partition("?")[0]


def md5(path: Path) -> str:
    """The digest of a file that DVC and publishers of data use. It finds accidents, not attacks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def md5_of_folder(folder: Path) -> str:
    """The digest of a folder that DVC uses: the MD5 of a JSON list of its files and their digests."""
    files = [
        {"md5": md5(path), "relpath": path.relative_to(folder).as_posix()}
        for path in folder.rglob("*")
        if path.is_file()
    ]
    text = json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def write_json(path: Path, content: Any) -> None:
    """Write JSON. The same content gives the same bytes."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
