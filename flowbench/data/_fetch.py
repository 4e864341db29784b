"""Downloads from a mirror or a public host. They are resumed if they break off, and verified."""

import hashlib
import logging
import os
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm import tqdm

from flowbench.data import DataError
from flowbench.runtime.files import md5 as md5_of
from flowbench.runtime.mirror import MIRROR, is_url

# The files are kept here for the next call. Neither git nor DVC tracks them.
DOWNLOADS = Path(".cache", "downloads")
TIMEOUT = 30.0  # seconds that a server may stay silent
CHUNK = 2**20

log = logging.getLogger(__name__)


class NotFoundError(DataError):
    """A host or a folder has no file of that name."""


def mirrors() -> list[str]:
    """The URL of the mirror, a host or a folder, that the environment names. The list is empty if there is none."""
    place = os.environ.get(MIRROR)
    if not place:
        return []
    if is_url(place):
        return [place.rstrip("/")]
    return [Path(place).expanduser().absolute().as_uri()]


def fetch(url: str, path: Path, md5: str | None = None) -> Path:
    """Download ``url`` to ``path`` and return ``path``. A file that is there and has the given MD5 is kept.

    A download that breaks off is resumed: in this call while each attempt brings more bytes, and after that in a
    later call. Without an MD5, the caller must verify the content.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file cannot be downloaded, or it has another MD5. Then it is removed.
    """
    if path.exists():
        if md5 in (None, md5_of(path)):
            return path
        log.warning("%s: expected MD5 %s, found %s; removed", path, md5, md5_of(path))
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each place has its own part, or the halves of two different files could be joined.
    part = path.with_name(f".{path.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
    left_behind = part.exists()
    while True:
        before = _size(part)
        try:
            _append(url, part)
        except (TimeoutError, ConnectionError, HTTPException) as error:
            if _size(part) <= before:
                raise DataError(f"{url}: broke off after {before:,} bytes: {error or type(error).__name__}") from error
            log.warning("%s: broke off after %s bytes: %s; resuming", url, f"{_size(part):,}", error)
            continue
        if md5 is None or (found := md5_of(part)) == md5:
            part.replace(path)
            for left in path.parent.glob(f".{path.name}.*.part"):  # parts from places that failed
                left.unlink()
            return path
        fault = f"{url}: expected MD5 {md5}, found {found} in {_size(part):,} bytes; removed"
        part.unlink()
        if not left_behind:
            raise DataError(fault)
        log.warning("%s; starting again without what an earlier call left behind", fault)
        left_behind = False


def _append(url: str, part: Path) -> None:
    """Download the bytes of ``url`` that ``part`` lacks, or all of them if the server cannot resume."""
    done = _size(part)
    request = Request(url, headers={"User-Agent": "flowbench"} | ({"Range": f"bytes={done}-"} if done else {}))
    try:
        with urlopen(request, timeout=TIMEOUT) as response:
            if response.headers.get_content_type() == "text/html":
                raise DataError(f"{url}: expected a file of data, found a page of HTML")
            if response.status != 206:
                done = 0
            length = response.headers["Content-Length"]
            total = done + int(length) if length else None
            log.info("%s: downloading %s bytes", url, f"{total:,}" if total else "unknown")
            with (
                part.open("ab" if done else "wb") as file,
                tqdm(desc=part.name, initial=done, total=total, unit="B", unit_scale=True, disable=None) as bar,
            ):
                while chunk := response.read1(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and _size(part) != total:
            raise ConnectionError(f"expected {total:,} bytes")
    except HTTPError as error:
        if error.code == 416 and done:  # the part is not the beginning of that file
            part.unlink()
            return _append(url, part)
        kind = NotFoundError if error.code in (404, 410) else DataError
        raise kind(f"{url}: expected a file of data, found {error}") from error
    except URLError as error:
        kind = NotFoundError if isinstance(error.reason, FileNotFoundError) else DataError
        raise kind(f"{url}: expected a file of data, found {error.reason}") from error
    except (TimeoutError, ConnectionError):
        raise
    except OSError as error:  # most likely a full disk
        part.unlink(missing_ok=True)
        raise DataError(f"{part}: expected to hold {url}, found {error}; removed") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
