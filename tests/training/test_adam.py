"""Adam against torch's own class, to the last bit."""

import pytest
import torch
from torch import nn

from flowbench.training.adam import Adam


def problem(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    torch.manual_seed(0)
    shapes = [(5, 3), (7,), (), (2, 3, 4, 4)]
    parameters = [nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in shapes]
    parameters[3].data = parameters[3].data.to(memory_format=torch.channels_last)
    return parameters


def gradients(parameters: list[nn.Parameter], step: int) -> None:
    for i, parameter in enumerate(parameters):
        # One has none at first, as a part of a model that is not used yet.
        parameter.grad = None if i == 1 and step < 3 else torch.sin(parameter.detach() * (i + step + 1))


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_steps_are_those_of_torch(dtype, weight_decay):
    ours, theirs = problem(dtype), problem(dtype)
    optimiser = Adam(ours, weight_decay)
    reference = torch.optim.Adam(theirs, 0.1, weight_decay=weight_decay, fused=True)
    for step in range(10):
        gradients(ours, step)
        gradients(theirs, step)
        rate = 0.1 / (step + 1)
        reference.param_groups[0]["lr"] = rate
        optimiser.step(rate)
        reference.step()
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    optimiser.zero_grad()
    assert all(parameter.grad is None for parameter in ours)


def test_it_goes_on_from_a_state():
    whole, parted = problem(), problem()
    one, other = Adam(whole), Adam(parted)
    for step in range(5):
        gradients(whole, step)
        gradients(parted, step)
        one.step(0.1)
        other.step(0.1)
    again = Adam(parted)
    again.restore({name: tensor.contiguous() for name, tensor in other.state().items()})
    for step in range(5, 10):
        gradients(whole, step)
        gradients(parted, step)
        one.step(0.1)
        again.step(0.1)
    assert all(torch.equal(a, b) for a, b in zip(whole, parted, strict=True))
