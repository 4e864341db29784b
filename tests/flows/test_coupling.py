"""Couplings against all permutations of tiny batches."""

from itertools import permutations

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from flowbench.flows._coupling import independent, optimal_transport
from flowbench.numerics.assignment import assignment as plan
from flowbench.runtime.seeding import seeded


@pytest.fixture(autouse=True)
def _seeded():
    with seeded(0):
        yield


def cost(x0: torch.Tensor, x1: torch.Tensor) -> float:
    return float((x0.double() - x1.double()).square().sum())


@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (100,), (3, 4, 4)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_plans_are_the_best_of_all_permutations(shape, n):
    for _ in range(5):
        x0, x1 = torch.randn(n, *shape), 3 * torch.rand(n, *shape) ** 2 + 10
        best = min(permutations(range(n)), key=lambda order: cost(x0, x1[list(order)]))
        assert plan(x0, x1).tolist() == list(best)


def test_in_one_dimension_the_plan_sorts():
    x0, x1 = torch.randn(500, 1), 5 - 2 * torch.rand(500, 1)
    least = cost(x0.sort(0).values, x1.sort(0).values)
    assert cost(x0, optimal_transport(x0, x1, 500)) == pytest.approx(least, rel=1e-7)


def test_a_shift_and_a_scale_are_undone():
    """The plan towards the same points, moved and enlarged, gives each point to itself."""
    x = torch.randn(300, 3)
    order = torch.randperm(300)
    assert torch.equal(plan(x, 40 + 7 * x[order]), order.argsort())


@pytest.mark.parametrize(("dims", "scale"), [(2, 1e-3), (2, 1e3), (64, 1.0), (784, 1e2)])
def test_plans_of_many_points_cost_what_a_plain_assignment_costs(dims, scale):
    x0, x1 = torch.randn(200, dims), scale * (torch.randn(200, dims).sign() + torch.randn(200, dims) ** 3)
    squares = torch.cdist(x0.double(), x1.double()).square().numpy()
    least = squares[linear_sum_assignment(squares)].sum()
    assert cost(x0, x1[plan(x0, x1)]) == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("batch", [1, 4, 10, 23, 50])
def test_each_group_is_permuted_within_itself(batch):
    x0, x1 = torch.randn(23, 2), torch.randn(23, 2)
    paired = optimal_transport(x0, x1, batch)
    for start in range(0, 23, batch):
        group = slice(start, start + batch)
        assert torch.equal(paired[group], x1[group][plan(x0[group], x1[group])])
    assert torch.equal(paired.unique(dim=0), x1.unique(dim=0))
    assert len(paired.unique(dim=0)) == 23


def test_larger_groups_cost_less():
    x0, x1 = torch.randn(256, 2), torch.randn(256, 2)
    costs = [cost(x0, optimal_transport(x0, x1, batch)) for batch in (1, 16, 256)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == cost(x0, independent(x0, x1))


def test_nothing_is_random_and_the_precision_of_training_does_not_matter():
    x0, x1 = torch.randn(64, 2), torch.randn(64, 2)
    state = torch.get_rng_state()
    first = optimal_transport(x0, x1, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(optimal_transport(x0, x1, 32), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.dtype == x1.dtype


def test_points_that_coincide_are_no_matter():
    same = torch.ones(5, 2)
    assert sorted(plan(same, same).tolist()) == sorted(plan(torch.randn(5, 2), same).tolist()) == list(range(5))


def test_unequal_batches_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        optimal_transport(torch.randn(5, 2), torch.randn(3, 2), 2)
