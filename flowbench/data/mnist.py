"""MNIST: handwritten digits of 28 × 28 pixels (LeCun, Bottou, Bengio and Haffner 1998)."""

from typing import ClassVar

from flowbench.data._images import MnistLike


class Mnist(MnistLike):
    """MNIST as ``(1, 28, 28)``: 60,000 images for training and validation, and 10,000 test images."""

    folder = "MNIST"
    fingerprints: ClassVar = {
        "train": "54e1ab866c9484947dd4821c52bb7a43938f555d6b046be6af55247f8e6ffc64",
        "test": "97b756d55950f1841ebd48df7379b9b2fc87a10d63e08d6213dad41d564e8508",
    }


source = Mnist
