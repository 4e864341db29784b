"""The convolutional autoencoder's two halves."""

import pytest
import torch

from flowbench.core import ShapeError
from flowbench.networks.autoencoder import decoder, encoder


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 8, 12)], ids=str)
@pytest.mark.parametrize("channels", [[4], [4, 6]], ids=str)
def test_images_become_vectors_and_images_again(shape, channels):
    codes = encoder(shape, channels, 5)(torch.rand(3, *shape))
    assert codes.shape == (3, 5)
    images = decoder(shape, channels, 5)(100 * codes)
    assert images.shape == (3, *shape)
    assert images.min() >= 0
    assert images.max() <= 1


def test_each_half_mirrors_the_other():
    there, back = (
        [tuple(layer.weight.shape) for layer in half((1, 28, 28), [32, 64], 128) if hasattr(layer, "weight")]
        for half in (encoder, decoder)
    )
    assert there == [(32, 1, 4, 4), (64, 32, 4, 4), (128, 64 * 7 * 7)]
    assert back == [(64 * 7 * 7, 128), (64, 32, 4, 4), (32, 1, 4, 4)]


@pytest.mark.parametrize("shape", [(64,), (1, 6, 8), (1, 8, 6)], ids=str)
@pytest.mark.parametrize("half", [encoder, decoder])
def test_a_side_that_cannot_be_halved_is_refused(half, shape):
    with pytest.raises(ShapeError, match="whose height and width 4 divides"):
        half(shape, [4, 4], 5)
