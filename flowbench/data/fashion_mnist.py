"""Fashion-MNIST: articles of clothing of 28 × 28 pixels (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

from typing import ClassVar

from flowbench.data._images import MnistLike


class FashionMnist(MnistLike):
    """Fashion-MNIST as ``(1, 28, 28)``: 60,000 images for training and validation, and 10,000 test images."""

    folder = "FashionMNIST"
    fingerprints: ClassVar = {
        "train": "fb88a2f5c1b590c907f860b47803d006e4fa7b276cdb551799af9d443accdff7",
        "test": "0b381379398a0943a88bf3864ff3f5177903dcf178030b4b74c495294b38fa7c",
    }


source = FashionMnist
