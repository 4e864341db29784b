import pytest
import torch
from torch import nn

from flowbench.certificates import randomised
from flowbench.core import ShapeError
from flowbench.layers._parts import coupling_parts, join, split
from flowbench.layers.additive_coupling import AdditiveCoupling
from flowbench.layers.affine_coupling import AffineCoupling

SWAP = pytest.mark.parametrize("swap", [False, True])


@SWAP
@pytest.mark.parametrize("dims", [2, 5, 6])
def test_parts_put_together_are_the_whole(dims, swap):
    x = torch.randn(3, dims)
    kept, changed = split(x, swap)
    assert (kept.shape[1], changed.shape[1]) == coupling_parts(dims, swap)
    assert torch.equal(join(kept, changed, swap), x)


@pytest.mark.parametrize("dims", [0, 1])
def test_one_dimension_cannot_be_split(dims):
    with pytest.raises(ShapeError, match=f"at least 2 dimensions, got {dims}"):
        coupling_parts(dims, swap=False)


@SWAP
@pytest.mark.parametrize(("make", "outputs"), [(AdditiveCoupling, 1), (AffineCoupling, 2)])
def test_one_part_passes_and_the_other_depends_on_it(make, outputs, swap):
    kept_size, changed_size = coupling_parts(5, swap)
    layer = randomised(make(nn.Linear(kept_size, outputs * changed_size), swap=swap))
    x = torch.randn(4, 5)
    kept, changed = split(x, swap)
    image_kept, image_changed = split(layer.encode(x)[0], swap)
    assert torch.equal(image_kept, kept)
    assert not torch.isclose(image_changed, changed).any()


def test_additive_coupling_preserves_volume():
    _, logdet = randomised(AdditiveCoupling(nn.Linear(2, 3))).encode(torch.randn(4, 5))
    assert torch.equal(logdet, torch.zeros(4))


@pytest.mark.parametrize("limit", [0.5, 3.0])
def test_the_scale_of_an_affine_coupling_is_bounded(limit):
    layer = AffineCoupling(nn.Linear(1, 2), scale_limit=limit)
    with torch.no_grad():
        layer.network.weight.fill_(1e6)
    z, logdet = layer.encode(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    torch.testing.assert_close(logdet, torch.tensor([limit, -limit]))
    assert z.isfinite().all()
