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


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A scratch folder whose files and folders move into ``folder`` when the block ends without an error.

    What stands in ``folder`` under the same names is replaced. A block that fails or is killed leaves ``folder``
    as it was; the next call clears away what a killed one left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_behind in folder.glob(".unfinished-*"):
        shutil.rmtree(left_behind, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    try:
        yield scratch
        for path in sorted(scratch.iterdir()):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(path, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whose name shows it only when all of it is on the disk."""
    unfinished = path.with_name(f".unfinished-{path.name}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def without_secrets(text: str) -> str:
    """``text`` without the passwords of the URLs in it and without their queries, which no message may show."""
    return re.sub(r"(\w://)(?:[^\s/@]*@)?([^\s?]*)(?:\?\S*)?", r"\1\2", text)


def md5(path: Path) -> str:
    """The digest of a file by which DVC and publishers of data know it; it protects from accidents alone."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write JSON that is the same, byte for byte, for the same content."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
