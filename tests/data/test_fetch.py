"""One file from a server or a directory: whole and verified, or not there and the fault named."""

import hashlib
import os
import random
import re
import socket
from pathlib import Path

import pytest

from flowbench.data import DataError, _fetch
from flowbench.runtime.mirror import with_absolute_mirror
from tests.data import loopback

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.3)


@pytest.fixture
def server():
    with loopback.serving() as server:
        server.files["file.gz"] = CONTENT
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept" / "file.gz"


def fetch(server, path):
    return _fetch.fetch(f"{server.url}/file.gz", path, MD5)


def ranges(server):
    return [asked for _, asked in server.asked]


def only_the_file(path):
    return list(path.parent.iterdir()) == [path] and path.read_bytes() == CONTENT


def test_what_is_there_is_not_downloaded_again(server, path):
    for _ in range(2):
        assert fetch(server, path) == path
        assert only_the_file(path)
    assert ranges(server) == [None]


def test_what_is_there_but_altered_is(server, path, caplog):
    path.parent.mkdir()
    path.write_bytes(CONTENT[:-1])
    fetch(server, path)
    assert only_the_file(path)
    assert f"{path}: expected MD5 {MD5}, found {hashlib.md5(CONTENT[:-1]).hexdigest()}; removed" in caplog.text


def test_from_a_directory(tmp_path, path):
    (tmp_path / "with space").mkdir()
    (tmp_path / "with space/file.gz").write_bytes(CONTENT)
    _fetch.fetch(f"{(tmp_path / 'with space').as_uri()}/file.gz", path, MD5)
    assert only_the_file(path)


@pytest.mark.parametrize(
    ("behaviour", "asked"),
    [
        (loopback.dropping, [None, "bytes=100000-", "bytes=200000-"]),
        (loopback.stalling_once, [None, "bytes=100000-"]),
    ],
)
def test_what_breaks_off_is_resumed(server, path, behaviour, asked):
    server.behaviour["file.gz"] = behaviour
    fetch(server, path)
    assert only_the_file(path)
    assert ranges(server) == asked


def broken_off(server, path):
    server.behaviour["file.gz"] = loopback.dropping_whole
    with pytest.raises(DataError, match=r"file\.gz: broke off after 100,000 bytes: expected 300,000 bytes"):
        fetch(server, path)
    assert not path.exists()
    del server.behaviour["file.gz"]
    server.asked.clear()
    (part,) = path.parent.iterdir()
    assert part.read_bytes() == CONTENT[:100_000]
    return part


def test_a_later_call_resumes(server, path):
    broken_off(server, path)
    fetch(server, path)
    assert only_the_file(path)
    assert ranges(server) == ["bytes=100000-"]


def test_a_later_call_starts_again_where_the_server_cannot_resume(server, path):
    broken_off(server, path)
    server.behaviour["file.gz"] = loopback.whole_only
    fetch(server, path)
    assert only_the_file(path)


@pytest.mark.parametrize("left", [b"no beginning of it", CONTENT, CONTENT + b"more"], ids=["other", "all", "more"])
def test_a_later_call_starts_again_from_what_cannot_be_resumed(server, path, left):
    broken_off(server, path).write_bytes(left)
    fetch(server, path)
    assert only_the_file(path)
    assert ranges(server) == [f"bytes={len(left)}-", None]


def test_another_place_does_not_resume_what_broke_off(server, path):
    broken_off(server, path)
    server.files["other/file.gz"] = CONTENT
    _fetch.fetch(f"{server.url}/other/file.gz", path, MD5)
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    ("behaviour", "found"),
    [
        (loopback.truncated, rf"expected MD5 {MD5}, found \w{{32}} in 150,000 bytes; removed"),
        (loopback.altered, rf"expected MD5 {MD5}, found \w{{32}} in 300,000 bytes; removed"),
        (loopback.another_file, rf"expected MD5 {MD5}, found \w{{32}} in 14 bytes; removed"),
        (loopback.empty, rf"expected MD5 {MD5}, found \w{{32}} in 0 bytes; removed"),
        (loopback.error_page, "expected a file of data, found a page of HTML"),
        (loopback.not_found, "expected a file of data, found HTTP Error 404: Not Found"),
        (loopback.failing, "expected a file of data, found HTTP Error 500: Internal Server Error"),
        (loopback.hanging_up, "broke off after 0 bytes: "),
    ],
)
def test_a_fault_is_named_and_leaves_nothing(server, path, behaviour, found):
    server.behaviour["file.gz"] = behaviour
    with pytest.raises(DataError, match=f"^{re.escape(server.url)}/file.gz: {found}"):
        fetch(server, path)
    assert list(path.parent.iterdir()) == []
    assert len(server.asked) == 1


def test_a_stalled_server_is_given_up(server, path):
    server.behaviour["file.gz"] = loopback.stalling
    with pytest.raises(DataError, match=r"file\.gz: broke off after 100,000 bytes: .*timed out"):
        fetch(server, path)
    assert not path.exists()


def test_a_refused_connection(path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.gz"
        with pytest.raises(DataError, match=rf"^{url}: expected a file of data, found .*[Rr]efused"):
            _fetch.fetch(url, path)


def test_a_directory_that_does_not_exist(tmp_path, path):
    with pytest.raises(_fetch.NotFoundError, match=r"nowhere/file\.gz: expected a file of data, found .*No such file"):
        _fetch.fetch(f"{tmp_path.as_uri()}/nowhere/file.gz", path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk(server, path):
    part = broken_off(server, path)
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.raises(DataError, match=rf"{part}: expected to hold {server.url}/file\.gz, found .*No space left"):
        fetch(server, path)
    assert list(path.parent.iterdir()) == []


def test_an_interrupted_download_leaves_no_file_but_resumes(server, path, monkeypatch):
    class Interrupted(_fetch.tqdm):
        def update(self, n):
            raise KeyboardInterrupt

    server.behaviour["file.gz"] = loopback.dropping
    with monkeypatch.context() as patch:
        patch.setattr(_fetch, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(server, path)
    assert not path.exists()
    fetch(server, path)
    assert only_the_file(path)
    assert ranges(server)[1].startswith("bytes=")


@pytest.mark.parametrize(
    ("place", "urls"),
    [
        (None, []),
        ("", []),
        ("https://example.org/data/", ["https://example.org/data"]),
        ("/some where", ["file:///some%20where"]),
        ("mirror", [f"{Path.cwd().as_uri()}/mirror"]),
    ],
)
def test_the_environment_names_a_mirror(place, urls, monkeypatch):
    monkeypatch.delenv(_fetch.MIRROR, raising=False)
    if place is not None:
        monkeypatch.setitem(os.environ, _fetch.MIRROR, place)
    assert _fetch.mirrors() == urls


@pytest.mark.parametrize("place", ["mirror", "./mirror", "~/mirror", "/mirror", "https://example.org/data", "", None])
def test_a_process_in_another_folder_has_the_same_mirror(place, tmp_path, monkeypatch):
    monkeypatch.delenv(_fetch.MIRROR, raising=False)
    if place is not None:
        monkeypatch.setenv(_fetch.MIRROR, place)
    expected, environment = _fetch.mirrors(), with_absolute_mirror(os.environ)
    monkeypatch.chdir(tmp_path)
    if place is not None:
        monkeypatch.setenv(_fetch.MIRROR, environment[_fetch.MIRROR])
    assert _fetch.mirrors() == expected
    assert environment.keys() - {_fetch.MIRROR} == os.environ.keys() - {_fetch.MIRROR}
