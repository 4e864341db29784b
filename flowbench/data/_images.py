"""Published image sets: where they are, and one order of the images that makes the splits the same everywhere."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from tarfile import TarError
from typing import Annotated, Any, ClassVar

import numpy as np

from flowbench.config import PositiveInt, Within
from flowbench.core import Event
from flowbench.data import DataError
from flowbench.data._fetch import DOWNLOADS, fetch, mirrors
from flowbench.data._places import DownloadedSource

Labelled = tuple[np.ndarray, np.ndarray]  # images (n, channels, height, width) and labels (n,), uint8
Official = dict[str, Labelled]  # "train" and "test", in content order


class ImageSource(DownloadedSource):
    """A published image set.

    Attributes:
        validation: the number of official training images, the last in content order, that are used for validation.
        fingerprints: of the official ``train`` and ``test`` images, as `content_order` gives them.
    """

    validation: PositiveInt
    fingerprints: ClassVar[Mapping[str, str]]

    def labelled(self) -> dict[str, Labelled]:
        """The splits as ``(n, channels, height, width)``, uint8, with their labels, from the first place that has them.

        Raises:
            DataError: no place has them. The message says for each place what was expected and what was found.
        """
        official: Official = self.from_places()
        images, labels = (np.split(array, [-self.validation]) for array in official["train"])
        train, validation = zip(images, labels, strict=True)
        return {"train": train, "validation": validation, "test": official["test"]}

    def through_torchvision(self, dataset: Any, url: str, archives: Mapping[str, str], raw: str) -> Official:
        """Read the set from ``url`` with torchvision's class ``dataset``.

        torchvision's own download neither resumes nor times out. So the archives are downloaded here and linked into
        the folder where torchvision looks for them. Then torchvision verifies, unpacks and reads them.

        Args:
            archives: file name to MD5.
            raw: the folder, below torchvision's root, that holds the archives.
        """
        kept = [fetch(f"{url}/{name}", DOWNLOADS / self.name / name, md5) for name, md5 in archives.items()]
        root = DOWNLOADS / f".{self.name}.unpacked"
        shutil.rmtree(root, ignore_errors=True)  # a killed run may have left it
        try:
            (root / raw).mkdir(parents=True)
            for path in kept:
                (root / raw / path.name).symlink_to(path.absolute())
            return {
                split: self.verified(split, *_arrays(dataset(root, train=split == "train", download=True)), url)
                for split in ("train", "test")
            }
        except DataError:
            raise
        except (OSError, RuntimeError, TarError) as error:  # a full disk, or an archive that holds something else
            raise DataError(f"{root}: expected to hold what is in {url}, found {error}") from error
        finally:
            shutil.rmtree(root, ignore_errors=True)

    def verified(self, split: str, images: np.ndarray, labels: np.ndarray, where: str) -> Labelled:
        """Check the fingerprint of the ``images`` from ``where``, and sort them in place by content, with their labels.

        Raises:
            DataError: the fingerprint is not the published one.
        """
        order, found = content_order(images, labels)
        if found != self.fingerprints[split]:
            raise DataError(
                f"{where}: expected {split} images with fingerprint {self.fingerprints[split]}, "
                f"found {len(images):,} with fingerprint {found}"
            )
        reorder(images, order)
        return images, labels[order]


class MnistLike(ImageSource):
    """A set in the format of MNIST. torchvision and the mirror both call it ``folder``."""

    validation: Annotated[int, Within(gt=0, lt=60_000)]
    folder: ClassVar[str]
    event = Event((1, 28, 28), levels=256, classes=10)

    def places(self) -> Iterator[tuple[str, Callable[[], Official]]]:
        import torchvision.datasets  # slow

        dataset = getattr(torchvision.datasets, self.folder)
        raw = f"{self.folder}/raw"
        for url in [*(f"{mirror}/{raw}" for mirror in mirrors()), *(url.rstrip("/") for url in dataset.mirrors)]:
            yield url, partial(self.through_torchvision, dataset, url, dict(dataset.resources), raw)


def content_order(images: np.ndarray, labels: np.ndarray) -> tuple[list[int], str]:
    """An order and a fingerprint that do not depend on the order and the file format in which a set comes.

    Each example has a digest: the SHA-256 of the image's bytes (height, width, channel) and the label's byte. The
    order is that of the digests. The fingerprint is the SHA-256 of the sorted digests, in hexadecimal.

    Args:
        images: ``(n, channels, height, width)``, uint8.
        labels: ``(n,)``, uint8.
    """
    digests = [
        hashlib.sha256(image.transpose(1, 2, 0).tobytes() + label.tobytes()).digest()
        for image, label in zip(images, labels, strict=True)
    ]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    return order, hashlib.sha256(b"".join(digests[i] for i in order)).hexdigest()


def reorder(array: np.ndarray, order: Sequence[int]) -> None:
    """``array[:] = array[order]`` for a permutation, without a second array."""
    waiting = np.ones(len(array), bool)
    for start in range(len(array)):
        row, first = start, array[start].copy()
        while waiting[row]:  # follow the cycle of the permutation
            waiting[row] = False
            source = order[row]
            array[row] = first if source == start else array[source]
            row = source


def _arrays(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """The images of a torchvision data set as ``(n, channels, height, width)``, and their labels."""
    images = np.asarray(dataset.data)
    images = images.reshape(*images.shape[:3], -1).transpose(0, 3, 1, 2)
    return images, np.asarray(dataset.targets, np.uint8)
