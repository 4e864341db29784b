"""Image sets, made here in the formats of the real ones: the same splits from everywhere, whatever goes wrong."""

from __future__ import annotations

import ast
import json
import logging
import pickle
import re
import resource
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from flowbench import config, data
from flowbench.data import _fetch, cifar10, fashion_mnist, mnist
from flowbench.data._fetch import DOWNLOADS, MIRROR
from tests.data import loopback
from tests.data.image_files import (
    COLOUR,
    GREY,
    VALIDATION,
    Labelled,
    cifar_archive,
    cifar_batches,
    cifar_shards,
    expected_splits,
    fingerprints,
    labelled,
    md5,
    mnist_files,
    parquet,
    png,
)


@pytest.fixture
def server():
    with loopback.serving() as server:
        yield server


@pytest.fixture(autouse=True)
def published(server, monkeypatch, tmp_path):
    """torchvision takes ours for the published sets and ``server`` for their public hosts; nothing is kept yet."""
    from torchvision.datasets import CIFAR10, MNIST, FashionMNIST

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MIRROR, raising=False)
    monkeypatch.setattr(_fetch, "TIMEOUT", 0.3)

    files = mnist_files()
    for dataset, source in ((MNIST, mnist.Mnist), (FashionMNIST, fashion_mnist.FashionMnist)):
        monkeypatch.setattr(source, "fingerprints", fingerprints(GREY))
        monkeypatch.setattr(dataset, "resources", [(name, md5(content)) for name, content in files.items()])
        monkeypatch.setattr(dataset, "mirrors", [f"{server.url}/{host}/" for host in ("first", "second")])
    for host in ("first", "second"):
        server.files |= {f"{host}/{name}": content for name, content in files.items()}

    batches = cifar_batches()
    archive = cifar_archive(batches)
    monkeypatch.setattr(cifar10.Cifar10, "fingerprints", fingerprints(COLOUR))
    monkeypatch.setattr(CIFAR10, "url", f"{server.url}/public/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(CIFAR10, "train_list", [[n, md5(c)] for n, c in batches.items() if n.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(batches["test_batch"])]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5(batches["batches.meta"])})
    server.files["public/cifar-10-python.tar.gz"] = archive


def splits(name: str) -> dict[str, np.ndarray]:
    return data.load(name, validation=VALIDATION).splits()


def assert_as_published(found: dict[str, np.ndarray], official: dict[str, Labelled]) -> None:
    assert tuple(found) == data.SPLITS
    for split, expected in expected_splits(official).items():
        assert found[split].dtype == np.uint8
        assert found[split].flags.c_contiguous
        assert np.array_equal(found[split], expected)


def kept() -> set[str]:
    """What has been left below the folder of downloads."""
    return {str(path.relative_to(DOWNLOADS)) for path in DOWNLOADS.rglob("*") if not path.is_dir()}


def mirror_on(server, monkeypatch, files: dict[str, bytes], folder: str) -> None:
    monkeypatch.setenv(MIRROR, f"{server.url}/mirror")
    server.files |= {f"mirror/{folder}/{name}": content for name, content in files.items()}


def mirror_in(path: Path, monkeypatch, files: dict[str, bytes], folder: str) -> None:
    monkeypatch.setenv(MIRROR, str(path))
    (path / folder).mkdir(parents=True)
    for name, content in files.items():
        (path / folder / name).write_bytes(content)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_from_everywhere(name, folder, server, monkeypatch, tmp_path):
    assert_as_published(splits(name), GREY)
    assert {path for path, _ in server.asked} == {f"first/{file}" for file in mnist_files()}

    server.asked.clear()
    assert_as_published(splits(name), GREY)  # from what is kept
    assert server.asked == []
    assert kept() == {f"{name}/{file}" for file in mnist_files()}

    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    mirror_on(server, monkeypatch, mnist_files(), f"{folder}/raw")
    assert_as_published(splits(name), GREY)
    assert {path for path, _ in server.asked} == {f"mirror/{folder}/raw/{file}" for file in mnist_files()}

    server.asked.clear()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    mirror_in(tmp_path / "mirror", monkeypatch, mnist_files(), f"{folder}/raw")
    assert_as_published(splits(name), GREY)
    assert server.asked == []


def test_cifar_from_torchvisions_archive(server):
    assert_as_published(splits("cifar10"), COLOUR)
    assert_as_published(splits("cifar10"), COLOUR)
    assert server.asked == [("public/cifar-10-python.tar.gz", None)]
    assert kept() == {"cifar10/cifar-10-python.tar.gz"}


@pytest.mark.parametrize("shards", [1, 3, 12])
@pytest.mark.parametrize("by", ["url", "directory"])
def test_cifar_from_parquet(shards, by, server, monkeypatch, tmp_path):
    files = cifar_shards(shards)
    if by == "url":
        mirror_on(server, monkeypatch, files, "cifar10/plain_text")
    else:
        mirror_in(tmp_path / "mirror", monkeypatch, files, "cifar10/plain_text")
    assert_as_published(splits("cifar10"), COLOUR)
    assert {path.rpartition("/")[2] for path, _ in server.asked} >= (files.keys() if by == "url" else set())

    server.asked.clear()
    assert_as_published(splits("cifar10"), COLOUR)
    assert server.asked == []
    assert kept() == {f"cifar10/{file}" for file in files}


IMAGES = "mirror/MNIST/raw/train-images-idx3-ubyte.gz"
SHARD = "mirror/cifar10/plain_text/train-00001-of-00002.parquet"
FAULTS = [
    loopback.truncated,
    loopback.altered,
    loopback.another_file,
    loopback.empty,
    loopback.error_page,
    loopback.not_found,
    loopback.failing,
    loopback.hanging_up,
    loopback.dropping_whole,
    loopback.stalling,
]
with_each_fault = pytest.mark.parametrize("fault", FAULTS)


@with_each_fault
def test_mnist_goes_on_to_the_next_place(fault, server, monkeypatch, caplog):
    mirror_on(server, monkeypatch, mnist_files(), "MNIST/raw")
    server.behaviour[IMAGES] = server.behaviour["first/train-images-idx3-ubyte.gz"] = fault
    with caplog.at_level(logging.INFO):
        assert_as_published(splits("mnist"), GREY)
    assert f"mnist: {server.url}/{IMAGES}: " in caplog.text
    assert f"mnist: read from {server.url}/second" in caplog.text
    assert kept() == {f"mnist/{file}" for file in mnist_files()}


@with_each_fault
def test_cifar_goes_on_to_the_next_place(fault, server, monkeypatch, caplog):
    mirror_on(server, monkeypatch, cifar_shards(2), "cifar10/plain_text")
    server.behaviour[SHARD] = fault
    with caplog.at_level(logging.INFO):
        assert_as_published(splits("cifar10"), COLOUR)
    assert "train-00001-of-00002.parquet" in caplog.text
    assert f"cifar10: read from {server.url}/public" in caplog.text
    assert f"cifar10/{Path(SHARD).name}" not in kept()


@with_each_fault
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_nothing_half_written_is_left_where_every_place_fails(name, fault, server, monkeypatch):
    mirror_on(server, monkeypatch, mnist_files(), "MNIST/raw")
    mirror_on(server, monkeypatch, cifar_shards(2), "cifar10/plain_text")
    bad = [IMAGES, SHARD, "public/cifar-10-python.tar.gz", *(f"{h}/{Path(IMAGES).name}" for h in ("first", "second"))]
    server.behaviour |= dict.fromkeys(bad, fault)
    with pytest.raises(data.DataError, match=rf"^{name}: no place has it; {MIRROR} may name another:") as error:
        data.save(data.load(name, validation=VALIDATION), Path("data", name))
    _, *lines = str(error.value).splitlines()
    assert [line.startswith("- http://") for line in lines] == [True, False] * {"mnist": 3, "cifar10": 2}[name]
    assert all(re.search("expected .* found|broke off", reason) for reason in lines[1::2])
    assert list(Path("data").iterdir()) == []
    assert not any(Path(path).name in {Path(name).name for name in bad} for path in kept())


def test_a_mirror_that_does_not_exist(server, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv(MIRROR, str(tmp_path / "nowhere"))
    assert_as_published(splits("cifar10"), COLOUR)
    assert f"cifar10: {tmp_path.as_uri()}/nowhere/cifar10/plain_text: expected train-00000-of-" in caplog.text
    assert_as_published(splits("mnist"), GREY)
    assert f"mnist: {tmp_path.as_uri()}/nowhere/MNIST/raw/train-images-idx3-ubyte.gz: expected" in caplog.text


def test_a_bad_mirror_in_a_directory_is_left_as_it_is(monkeypatch, tmp_path):
    files = cifar_shards(1) | {"test-00000-of-00001.parquet": b"no Parquet"}
    mirror_in(tmp_path / "mirror", monkeypatch, files, "cifar10/plain_text")
    assert_as_published(splits("cifar10"), COLOUR)
    found = {path.name: path.read_bytes() for path in (tmp_path / "mirror/cifar10/plain_text").iterdir()}
    assert found == files


def test_what_is_kept_but_bad_is_downloaded_again(server, monkeypatch, caplog):
    mirror_on(server, monkeypatch, cifar_shards(2), "cifar10/plain_text")
    splits("cifar10")
    shard = DOWNLOADS / "cifar10" / Path(SHARD).name
    for damage in (b"no Parquet", server.files["mirror/cifar10/plain_text/test-00001-of-00002.parquet"]):
        shard.write_bytes(damage)
        assert_as_published(splits("cifar10"), COLOUR)
        assert shard.read_bytes() == server.files[SHARD]
        assert str(shard) in caplog.text
    assert "public/cifar-10-python.tar.gz" not in dict(server.asked)


def wrong_parquet(**changes) -> bytes:
    images, labels = COLOUR["train"]
    columns = {"images": [png(image) for image in images], "labels": labels.tolist()} | changes
    return parquet(**columns)


GREY_PNG, LARGE_PNG = png(np.zeros((32, 32), np.uint8)), png(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (wrong_parquet(images=[GREY_PNG] * 40), r"mode L and size \(32, 32\)"),
        (wrong_parquet(images=[LARGE_PNG] * 40), r"mode RGB and size \(64, 64\)"),
        (wrong_parquet(images=[b"GIF89a"] * 40), "cannot identify image"),
        (wrong_parquet(images=[None] * 40), "cannot identify image"),
        (wrong_parquet(labels=[None] * 40), "NoneType"),
        (wrong_parquet(labels=[256] * 40), "256"),
        (wrong_parquet(labels=[0] * 40), "found 40 with fingerprint"),
        (parquet([], []), "found 0 with fingerprint"),
    ],
)
def test_parquet_of_something_else(content, found, server, monkeypatch, caplog):
    mirror_on(server, monkeypatch, cifar_shards(1) | {"train-00000-of-00001.parquet": content}, "cifar10/plain_text")
    assert_as_published(splits("cifar10"), COLOUR)
    (warning,) = (record.message for record in caplog.records)
    assert re.search(rf"train-00000-of-00001\.parquet: expected .*{found}", warning)
    assert "cifar10/train-00000-of-00001.parquet" not in kept()


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


@pytest.mark.parametrize(("known", "message"), [(False, "expected MD5"), (True, "expected to hold what is in")])
def test_nothing_is_unpickled_that_was_not_verified(known, message, server, monkeypatch):
    server.files["public/cifar-10-python.tar.gz"] = archive = cifar_archive(
        cifar_batches() | {"data_batch_1": pickle.dumps(Evil())}
    )
    if known:
        monkeypatch.setattr("torchvision.datasets.CIFAR10.tgz_md5", md5(archive))
    with pytest.raises(data.DataError, match=message):
        splits("cifar10")
    assert not Path("unpickled").exists()


def test_nothing_is_unpacked_outside(server, monkeypatch):
    server.files["public/cifar-10-python.tar.gz"] = archive = cifar_archive({"../../../../escaped": b""})
    monkeypatch.setattr("torchvision.datasets.CIFAR10.tgz_md5", md5(archive))
    with pytest.raises(data.DataError, match=r"expected to hold what is in .* outside"):
        splits("cifar10")
    assert not list(Path().absolute().parent.rglob("escaped"))


@contextmanager
def files_up_to(size: int):
    """No file may grow beyond ``size`` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_to_download(server):
    with files_up_to(10_000), pytest.raises(data.DataError, match=r"\.part: expected to hold .*, found .*too large"):
        splits("mnist")
    assert kept() == set()


def test_no_room_to_unpack(monkeypatch):
    # Compresses well, so that it is small until it is unpacked.
    monkeypatch.setitem(GREY, "train", (np.zeros((40, 28, 28, 1), np.uint8), np.zeros(40, np.uint8)))
    from torchvision.datasets import MNIST

    files = mnist_files()
    with loopback.serving() as server:
        server.files |= files
        monkeypatch.setattr(MNIST, "resources", [(name, md5(content)) for name, content in files.items()])
        monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/"])
        with (
            files_up_to(15_000),
            pytest.raises(data.DataError, match=r"unpacked: expected to hold .*, found .*too large"),
        ):
            splits("mnist")
    assert kept() == {f"mnist/{name}" for name in files}


def test_no_room_to_save(monkeypatch, tmp_path):
    mirror_in(tmp_path / "mirror", monkeypatch, cifar_shards(1), "cifar10/plain_text")
    source = data.load("cifar10", validation=VALIDATION)
    source.splits()  # downloads
    with (
        files_up_to(15_000),
        pytest.raises(
            data.DataError, match=r"^data/cifar10: cannot write the data set: .* written; is the disk full\?$"
        ),
    ):
        data.save(source, Path("data/cifar10"))
    assert list(Path("data").iterdir()) == []


def test_what_a_killed_run_unpacked_is_cleared_away():
    left = DOWNLOADS / ".mnist.unpacked/MNIST/raw/train-images-idx3-ubyte"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half of it")
    assert_as_published(splits("mnist"), GREY)
    assert not left.exists()


def test_images_are_in_memory_once(monkeypatch, tmp_path):
    monkeypatch.setitem(COLOUR, "train", labelled(1000, (32, 32, 3)))
    monkeypatch.setattr(cifar10.Cifar10, "fingerprints", fingerprints(COLOUR))
    mirror_in(tmp_path / "mirror", monkeypatch, cifar_shards(2), "cifar10/plain_text")
    size = sum(images.nbytes for images, _ in COLOUR.values())
    splits("cifar10")  # imports
    tracemalloc.start()
    try:
        splits("cifar10")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < peak < 1.7 * size


@pytest.mark.parametrize(
    ("name", "validation", "message"),
    [
        ("mnist", 0, "input should be greater than 0"),
        ("fashion_mnist", 60_000, "input should be less than 60000"),
        ("cifar10", 50_000, "input should be less than 50000"),
        ("cifar10", None, "input should be a valid integer"),
    ],
)
def test_validation_leaves_something_to_train_on(name, validation, message):
    with pytest.raises(config.ConfigError, match=f"data.{name}.validation = {validation}: {message}"):
        data.load(name, validation=validation)


def test_saved_and_read_as_memory_maps():
    data.save(data.load("cifar10", validation=VALIDATION), Path("data/cifar10"))
    found = data.read(Path("data/cifar10"))
    assert all(isinstance(array, np.memmap) for array in found.values())
    assert_as_published(found, COLOUR)
    event = json.loads(Path("data/cifar10/info.json").read_text(encoding="utf-8"))["event"]
    assert event == {"shape": [3, 32, 32], "levels": 256, "standardise": True, "start": None, "classes": 10}


@pytest.mark.parametrize("path", sorted(Path(data.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_to_know_a_source_costs_no_heavy_import(path):
    imports = [
        node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {getattr(node, "module", None) or node.names[0].name for node in imports}
    assert {name.partition(".")[0] for name in names}.isdisjoint({"torchvision", "pyarrow", "sklearn", "pandas"})
