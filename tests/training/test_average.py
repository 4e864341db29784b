import pytest
import torch
from torch import nn

from flowbench.core import FlowModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.training.average import MovingAverage


def model() -> FlowModel:
    return FlowModel(ElementwiseAffine((1,)), standard_normal(1))


@torch.no_grad()
def averaged(decay: float, values: list[float]) -> list[float]:
    """The average after each of the values that a parameter, first zero, is given."""
    trained = model()
    average = MovingAverage(trained, decay)
    found = []
    for step, value in enumerate(values, start=1):
        trained.transform.shift.fill_(value)
        average.update(step)
        found.append(float(average.model.transform.shift))
        assert float(trained.transform.shift) == value
    return found


def test_average_is_the_one_computed_by_hand():
    # Decays are 2/11, 3/12, 4/13 until they would exceed 0.3.
    first = 9 / 11 * 1.0
    second = 0.25 * first + 0.75 * 4.0
    third = 0.3 * second + 0.7 * -2.0
    fourth = 0.3 * third + 0.7 * 5.0
    assert averaged(0.3, [1.0, 4.0, -2.0, 5.0]) == pytest.approx([first, second, third, fourth], rel=1e-6)


def test_a_short_training_is_not_stuck_at_its_initial_weights():
    assert averaged(0.9999, [1.0] * 50)[-1] == pytest.approx(1, abs=1e-5)


def test_buffers_are_those_of_the_model():
    trained = model()
    trained.register_module("norm", nn.BatchNorm1d(1, momentum=0.5))
    average = MovingAverage(trained, 0.9)
    assert all(
        one is not another for one, another in zip(trained.parameters(), average.model.parameters(), strict=True)
    )
    trained.norm(torch.tensor([[1.0], [3.0]]))
    average.update(1)
    assert float(average.model.norm.running_mean) == float(trained.norm.running_mean) == 1
    assert int(average.model.norm.num_batches_tracked) == 1
    assert set(average.model.state_dict()) == set(trained.state_dict())
