"""Errors and distances of a table are counted in standard deviations, so that no unit of a column changes a verdict."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from flowbench.cell import Cell
from flowbench.core import FlowModel, FlowModule
from flowbench.data.moons import source as Moons
from flowbench.data.table import Table
from flowbench.evaluation.invertibility import invertibility
from flowbench.evaluation.stress import stress
from flowbench.evaluation.two_sample import two_sample
from flowbench.flows._priors import standard_normal

UNIT = torch.tensor([2.0**14, 1.0, 2.0**-10])


class OffBy(FlowModule):
    """The identity, but that decode is off by ``error`` ``(D,)``."""

    def __init__(self, error: Tensor):
        super().__init__()
        self.error = error

    def encode(self, x: Tensor):
        return x, x.new_zeros(len(x))

    def decode(self, z: Tensor):
        return z + self.error.to(z), z.new_zeros(len(z))


def test_errors_of_data_are_counted_in_units_and_those_of_latents_are_not():
    model = FlowModel(OffBy(0.5 * UNIT), standard_normal(3))
    found = invertibility(model, UNIT * torch.randn(200, 3), 200, 100, UNIT)
    for name in ("invertibility_error_max", "invertibility_error_mean", "invertibility_error_max_noise_float64"):
        assert found[name] == pytest.approx(0.5, abs=2e-3), name
    assert found["latent_invertibility_error_max"] == pytest.approx(0.5 * 2**14, rel=1e-3)
    lengths = stress(model, UNIT * torch.randn(200, 3), 200, 100, UNIT)
    assert lengths["l2_error_data"] == pytest.approx(0.5 * 3**0.5, abs=2e-3)


def test_distances_do_not_depend_on_the_units_of_columns():
    x, y = torch.randn(300, 3), torch.randn(300, 3) + 0.5
    torch.manual_seed(0)
    plain = two_sample(x, y)
    torch.manual_seed(0)
    assert two_sample(UNIT * x, UNIT * y, UNIT) == plain
    torch.manual_seed(0)
    assert two_sample(UNIT * x, UNIT * y) != plain


@pytest.mark.parametrize(
    ("source", "expected"),
    [(Table(path="mine.csv"), [2.0, 1.0, 30.0]), (Moons(train=5, validation=5, test=5, noise=0.1), [1.0, 1.0])],
    ids=["a table", "data of the suite"],
)
def test_a_unit_is_the_training_splits_deviation_where_units_are_arbitrary(source, expected):
    train = np.array([[-2, 5, -30], [2, 5, 30]], np.float32)
    unit = Cell.unit.func(SimpleNamespace(source=source, splits={"train": train}))
    np.testing.assert_array_equal(unit, np.array(expected, np.float32))
