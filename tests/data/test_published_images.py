"""The published image sets themselves, where the environment names a mirror that has them."""

import hashlib
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from flowbench import config, data
from flowbench.data._fetch import MIRROR
from flowbench.data._images import ImageSource
from tests.data import loopback

OPTIONS = config.load(Path(__file__).parents[2] / "params.yaml").data
NAMES = [name for name in OPTIONS if isinstance(data.load(name, **OPTIONS[name]), ImageSource)]
# Of the training images of both splits.
MOMENTS = {
    "mnist": ([0.1307], [0.3081]),
    "fashion_mnist": ([0.2860], [0.3530]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
}

pytestmark = pytest.mark.skipif(not os.environ.get(MIRROR), reason=f"{MIRROR} names no mirror to download from")


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """The splits of a source by name; what is downloaded is kept for the tests of this module alone."""
    folder = tmp_path_factory.mktemp("downloads")

    @cache
    def load(name: str) -> dict[str, np.ndarray]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(MIRROR, str(mirror()))
            patch.chdir(folder)
            return data.load(name, **OPTIONS[name]).splits()

    return load


def mirror() -> str:
    place = os.environ[MIRROR]
    return place if "://" in place else str(Path(place).absolute())


# One test for each source, since processes do not share what they load.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "cifar10" else ()) for name in NAMES]
)
def test_images_have_the_sizes_and_the_moments_that_everyone_quotes(name, splits):
    shape = data.load(name, **OPTIONS[name]).event.shape
    total = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000}[name]
    validation = OPTIONS[name]["validation"]
    expected = {"train": total - validation, "validation": validation, "test": 10_000}
    assert {split: array.shape for split, array in splits(name).items()} == {
        split: (n, *shape) for split, n in expected.items()
    }
    mean, std = MOMENTS[name]
    counts = [
        sum(np.bincount(splits(name)[split][:, channel].ravel(), minlength=256) for split in ("train", "validation"))
        for channel in range(len(mean))
    ]
    grey = np.arange(256) / 255
    means = [np.average(grey, weights=count) for count in counts]
    variances = [np.average((grey - m) ** 2, weights=count) for count, m in zip(counts, means, strict=True)]
    assert means == pytest.approx(mean, abs=6e-5)
    assert np.sqrt(variances) == pytest.approx(std, abs=6e-5)


@pytest.mark.skipif("://" in os.environ.get(MIRROR, ""), reason="the mirror is no directory that a test can serve")
def test_torchvision_downloads_the_same_mnist(splits, tmp_path, monkeypatch):
    """With torchvision's own transport too, which wants HTTP."""
    from torchvision.datasets import MNIST

    def digests(images):
        return sorted(hashlib.sha256(image.tobytes()).digest() for image in images)

    with loopback.serving() as server:
        for name, _ in MNIST.resources:
            server.files[f"mnist/{name}"] = Path(mirror(), "MNIST/raw", name).read_bytes()
        monkeypatch.setattr(MNIST, "mirrors", [f"{server.url}/mnist/"])
        train, test = (MNIST(tmp_path, train=train, download=True).data.numpy() for train in (True, False))
    ours = splits("mnist")
    assert digests(np.concatenate([ours["train"], ours["validation"]])) == digests(train)
    assert digests(ours["test"]) == digests(test)
