"""The one order that images are brought into, whatever their source."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowbench.data._images import content_order, reorder
from tests.data.image_files import COLOUR, RNG, fingerprints, shuffled


@given(st.integers(0, 30).flatmap(lambda n: st.permutations(range(n))))
def test_reorder(order):
    array = RNG.integers(256, size=(len(order), 3))
    expected = array[order]
    reorder(array, order)
    assert np.array_equal(array, expected)


def test_the_fingerprint_depends_on_no_order_but_on_labels():
    images, labels = COLOUR["train"]
    images = images.transpose(0, 3, 1, 2)
    assert content_order(images, labels)[1] == fingerprints(COLOUR)["train"]
    assert content_order(*shuffled(images, labels))[1] == fingerprints(COLOUR)["train"]
    assert content_order(images, 9 - labels)[1] != fingerprints(COLOUR)["train"]
