import pytest
import torch

from flowbench.certificates import randomised
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.permutation import Permutation
from flowbench.runtime.seeding import seeded


def matrix(module: torch.nn.Module, dims: int) -> torch.Tensor:
    """The W of z = W x."""
    return module.encode(torch.eye(dims))[0].detach().T


@pytest.mark.parametrize("dims", [1, 2, 8])
def test_starts_as_a_rotation(dims):
    with seeded(0):
        weight = matrix(InvertibleLinear(dims), dims)
    torch.testing.assert_close(weight @ weight.T, torch.eye(dims), atol=1e-5, rtol=0)


def test_log_determinant_is_that_of_its_matrix():
    with seeded(0):
        module = randomised(InvertibleLinear(6), scale=1.0)
    expected = torch.linalg.slogdet(matrix(module, 6)).logabsdet
    torch.testing.assert_close(module.encode(torch.randn(3, 6))[1], expected.expand(3), atol=1e-5, rtol=1e-5)


def test_stays_invertible_whatever_is_learnt():
    with seeded(0):
        module = randomised(InvertibleLinear(4), scale=2.0)
    check = module.check(torch.randn(5, 4))
    assert check.round_trip_error < 1e-8
    assert check.logdet_error < 1e-10


def test_permutations():
    x = torch.arange(4.0)[None]
    order = torch.tensor([2, 0, 3, 1])
    assert Permutation(order).encode(x)[0].tolist() == [order.tolist()]
    assert Permutation.reverse(4).encode(x)[0].tolist() == [[3, 2, 1, 0]]
    assert Permutation.halves(4).encode(x)[0].tolist() == [[2, 3, 0, 1]]
    assert Permutation.halves(5).encode(torch.arange(5.0)[None])[0].tolist() == [[2, 3, 4, 0, 1]]
    with seeded(0):
        assert sorted(Permutation.random(9).order.tolist()) == list(range(9))


@pytest.mark.parametrize("order", [[0, 0], [1, 2], [-1, 0]])
def test_what_is_no_permutation_is_refused(order):
    with pytest.raises(ValueError, match="not a permutation of 0 … 1"):
        Permutation(torch.tensor(order))
