"""Small image sets in the formats in which the real ones are published."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
SIZES = {"train": 40, "test": 15}
VALIDATION = 12

Labelled = tuple[np.ndarray, np.ndarray]  # (n, height, width, channel) and (n,)


def labelled(n: int, shape: tuple[int, ...]) -> Labelled:
    return RNG.integers(256, size=(n, *shape), dtype=np.uint8), RNG.integers(10, size=n, dtype=np.uint8)


GREY = {split: labelled(n, (28, 28, 1)) for split, n in SIZES.items()}
COLOUR = {split: labelled(n, (32, 32, 3)) for split, n in SIZES.items()}


def digests(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
    return [hashlib.sha256(bytes(i.ravel()) + bytes([c])).digest() for i, c in zip(images, labels, strict=True)]


def fingerprints(official: dict[str, Labelled]) -> dict[str, str]:
    return {split: hashlib.sha256(b"".join(sorted(digests(*both)))).hexdigest() for split, both in official.items()}


def expected_splits(official: dict[str, Labelled]) -> dict[str, np.ndarray]:
    """What a source must make of it, the plain way."""
    ordered = {
        split: images[np.argsort(np.array(digests(images, labels)))].transpose(0, 3, 1, 2)
        for split, (images, labels) in official.items()
    }
    train = ordered["train"]
    return {"train": train[:-VALIDATION], "validation": train[-VALIDATION:], "test": ordered["test"]}


def shuffled(images: np.ndarray, labels: np.ndarray) -> Labelled:
    order = RNG.permutation(len(images))
    return images[order], labels[order]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def mnist_files() -> dict[str, bytes]:
    """The four archives, in the IDX format."""
    files = {}
    for prefix, (images, labels) in zip(("train", "t10k"), GREY.values(), strict=True):
        contents = {
            "images-idx3": struct.pack(">4i", 2051, len(images), 28, 28) + images.tobytes(),
            "labels-idx1": struct.pack(">2i", 2049, len(labels)) + labels.tobytes(),
        }
        files |= {f"{prefix}-{kind}-ubyte.gz": gzip.compress(content, mtime=0) for kind, content in contents.items()}
    return files


def cifar_batches() -> dict[str, bytes]:
    """The pickled batches, channels first."""

    def batch(images, labels):
        return pickle.dumps({"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), "labels": labels.tolist()})

    (images, labels), test = COLOUR["train"], COLOUR["test"]
    batches = {f"data_batch_{i + 1}": batch(images[i::5], labels[i::5]) for i in range(5)}
    return batches | {"test_batch": batch(*test), "batches.meta": pickle.dumps({"label_names": list("abcdefghij")})}


def cifar_archive(batches: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def parquet(images: list[bytes], labels: list[int]) -> bytes:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    content = pa.BufferOutputStream()
    write_table(pa.table({"img": [{"bytes": image, "path": None} for image in images], "label": labels}), content)
    return content.getvalue().to_pybytes()


def cifar_shards(shards: int) -> dict[str, bytes]:
    """Parquet files, in another order than the archive."""
    files = {}
    for split, both in COLOUR.items():
        images, labels = shuffled(*both)
        for k in range(shards):
            content = parquet([png(image) for image in images[k::shards]], labels[k::shards].tolist())
            files[f"{split}-{k:05}-of-{shards:05}.parquet"] = content
    return files
