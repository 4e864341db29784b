"""CIFAR-10: colour photographs of 32 × 32 pixels in ten classes (Krizhevsky 2009)."""

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from PIL import Image

from flowbench.config import Within
from flowbench.core import Event
from flowbench.data import DataError
from flowbench.data._fetch import DOWNLOADS, NotFoundError, fetch, mirrors
from flowbench.data._images import ImageSource, Labelled, Official

MAX_SHARDS = 20

log = logging.getLogger(__name__)


class Cifar10(ImageSource):
    """CIFAR-10 as ``(3, 32, 32)``: 50,000 images for training and validation, and 10,000 test images."""

    validation: Annotated[int, Within(gt=0, lt=50_000)]
    event = Event((3, 32, 32), levels=256, classes=10)
    fingerprints: ClassVar = {
        "train": "6a3b2c04d0a79ce272dcdacaf0bc440275db5a8cbe3717521a28fada2ea0d2ed",
        "test": "65a6ffe079453e514083f99356b35e02cbfd581b4951e3937fae188974b79f39",
    }

    def places(self) -> Iterator[tuple[str, Callable[[], Official]]]:
        for mirror in mirrors():
            url = f"{mirror}/cifar10/plain_text"
            yield url, partial(self.from_parquet, url)
        from torchvision.datasets import CIFAR10  # slow

        archives = {CIFAR10.filename: CIFAR10.tgz_md5}
        url = CIFAR10.url.rpartition("/")[0]
        yield url, partial(self.through_torchvision, CIFAR10, url, archives, raw="")

    def from_parquet(self, url: str) -> Official:
        """The set from Parquet files at ``url``, which have the names and columns of ``uoft-cs/cifar10``."""
        return {split: self._split(url, split) for split in ("train", "test")}

    def _split(self, url: str, split: str) -> Labelled:
        folder = DOWNLOADS / self.name
        kept = sorted(folder.glob(f"{split}-*.parquet"))
        if kept and len(kept) == int(kept[0].stem[-5:]):
            try:
                return self._read(split, kept)
            except DataError as error:
                log.warning("kept by an earlier call: %s", error)
        return self._read(split, fetch_shards(url, split, folder))

    def _read(self, split: str, paths: list[Path]) -> Labelled:
        """The images and labels of the ``split``, verified and in content order. Files that are wrong are removed."""
        from pyarrow.parquet import ParquetFile, read_metadata  # slow

        sizes = []
        for path in paths:
            with removed_if_bad(path):
                sizes.append(read_metadata(path).num_rows)
        images = np.empty((sum(sizes), *self.event.shape), np.uint8)
        labels = np.empty(sum(sizes), np.uint8)
        rows = iter(range(sum(sizes)))
        for path in paths:
            with removed_if_bad(path), ParquetFile(path) as file:
                for batch in file.iter_batches(1000, columns=["img", "label"]):
                    for example in batch.to_pylist():
                        row = next(rows)
                        images[row] = decode(example["img"]["bytes"])
                        labels[row] = example["label"]
        try:
            return self.verified(split, images, labels, ", ".join(map(str, paths)))
        except DataError:
            for path in paths:
                path.unlink()
            raise


def fetch_shards(url: str, split: str, folder: Path) -> list[Path]:
    """Download the ``split`` from ``url`` to ``folder``, unless it is there.

    The names of the shards are ``train-00000-of-00003.parquet`` and so on. Their number, 20 at most, is found by
    trying.

    Raises:
        NotFoundError: there is no first shard.
    """
    for total in range(1, MAX_SHARDS + 1):
        names = [f"{split}-{shard:05}-of-{total:05}.parquet" for shard in range(total)]
        try:
            fetch(f"{url}/{names[0]}", folder / names[0])
        except NotFoundError:
            continue
        return [fetch(f"{url}/{name}", folder / name) for name in names]
    raise NotFoundError(f"{url}: expected {split}-00000-of-N.parquet with N from 1 to {MAX_SHARDS:05}, found none")


def decode(png: bytes) -> np.ndarray:
    """The pixels of a PNG image as ``(3, 32, 32)``, uint8.

    Raises:
        ValueError: the image has another mode or size.
    """
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        if (image.mode, image.size) != ("RGB", (32, 32)):
            raise ValueError(f"an image of mode {image.mode} and size {image.size}")
        return np.asarray(image).transpose(2, 0, 1)


@contextmanager
def removed_if_bad(path: Path) -> Iterator[None]:
    """If the block cannot read the file, remove it and name it in a `DataError`."""
    try:
        yield
    except Exception as error:  # pyarrow and Pillow raise many kinds of errors
        path.unlink()
        raise DataError(f"{path}: expected Parquet with 32 × 32 PNG images, found {error!r}; removed") from error


source = Cifar10
