import math
from itertools import chain

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from flowbench.core import FlowModel, FlowSequential, seeded
from flowbench.flows._assembly import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.dequantise import Dequantise
from flowbench.training.objectives import MaximumLikelihood, ReverseKL


class Recorder(FlowModel):
    """Its loss is the mean of the batch; it keeps the batches and whether it was training."""

    def __init__(self):
        super().__init__(FlowSequential(), standard_normal(1))
        self.batches, self.modes = [], []

    def loss(self, batch):
        self.batches.append(batch.flatten().tolist())
        self.modes.append(self.training)
        return batch.mean()


def recorded(n: int, batch_size: int, steps: int) -> list[list[float]]:
    model = Recorder()
    x = torch.arange(float(n))[:, None]
    objective = MaximumLikelihood(model, x, x, batch_size, validation_seed=0)
    with seeded(0):
        for step in range(steps):
            objective.loss(step)
    return model.batches


def test_an_epoch_visits_every_example_once():
    batches = recorded(n=12, batch_size=3, steps=8)
    epochs = [list(chain(*batches[:4])), list(chain(*batches[4:]))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert epochs[0] != epochs[1]
    assert epochs[0] != sorted(epochs[0])


def test_what_does_not_fill_a_batch_waits_for_a_later_epoch():
    batches = recorded(n=10, batch_size=4, steps=40)
    assert {len(batch) for batch in batches} == {4}
    for first, second in zip(batches[::2], batches[1::2], strict=True):
        assert len(set(first + second)) == 8
    assert set(chain(*batches)) == set(range(10))


def test_small_data_is_used_whole():
    assert [sorted(batch) for batch in recorded(n=3, batch_size=50, steps=2)] == [[0, 1, 2]] * 2


def test_validation_weighs_each_example_alike_and_trains_nothing():
    model = Recorder()
    x = torch.arange(5003.0)[:, None]  # more than is evaluated at once, and no multiple of it
    objective = MaximumLikelihood(model.train(), x[:1], x, 10, validation_seed=0)
    state = torch.get_rng_state()
    assert float(objective.validation_loss()) == pytest.approx(2501)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.modes == [False, False]
    assert model.training


def test_validation_noise_is_the_same_each_time():
    model = FlowModel(FlowSequential(), standard_normal(3), dequantise=Dequantise(17))
    levels = torch.randint(17, (40, 3))
    objective = MaximumLikelihood(model, levels, levels, 10, validation_seed=5)
    first = objective.validation_loss()
    assert torch.equal(objective.validation_loss(), first)
    assert not first.requires_grad
    other = MaximumLikelihood(model, levels, levels, 10, validation_seed=6)
    assert not torch.equal(other.validation_loss(), first)


MODEL_MEAN, MODEL_STD = torch.tensor([0.5, -1.0]), torch.tensor([0.7, 1.5])
TARGET = Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])), 1)
LOG_NORMALISER = math.log(2 * math.pi * 1.0 * 2.0)


def reverse_kl(log_energy=lambda x: TARGET.log_prob(x) + LOG_NORMALISER, **options) -> ReverseKL:
    transform = ElementwiseAffine((2,))
    transform.load_state_dict({"shift": MODEL_MEAN, "log_scale": MODEL_STD.log()})
    model = FlowModel(transform, standard_normal(2))
    return ReverseKL(
        model, log_energy, **({"batch_size": 200_000, "anneal_steps": 100, "validation_seed": 0} | options)
    )


def test_reverse_kl_is_the_closed_form_up_to_the_normaliser():
    objective = reverse_kl()
    objective.validation_samples = 200_000
    expected = kl_divergence(Independent(Normal(MODEL_MEAN, MODEL_STD), 1), TARGET)
    assert float(objective.validation_loss()) + LOG_NORMALISER == pytest.approx(float(expected), abs=0.01)
    with seeded(1):
        assert float(objective.loss(100).detach()) + LOG_NORMALISER == pytest.approx(float(expected), abs=0.01)


def test_gradient_of_reverse_kl_is_the_closed_form():
    objective = reverse_kl()
    with seeded(1):
        objective.loss(100).backward()
    mean, std = MODEL_MEAN.clone().requires_grad_(), MODEL_STD.clone().requires_grad_()
    kl_divergence(Independent(Normal(mean, std), 1), TARGET).backward()
    transform = objective.model.transform
    torch.testing.assert_close(transform.shift.grad, mean.grad, atol=0.01, rtol=0)
    torch.testing.assert_close(transform.log_scale.grad, std.grad * MODEL_STD, atol=0.02, rtol=0)


@pytest.mark.parametrize(("step", "beta"), [(0, 0.01), (10, 0.11), (98, 0.99), (99, 1.0), (100, 1.0), (5000, 1.0)])
def test_annealing(step, beta):
    # With log p = 1 everywhere, the loss is E log q - β.
    objective = reverse_kl(lambda x: torch.ones(len(x)), batch_size=100)
    with seeded(1), torch.no_grad():
        loss = objective.loss(step)
    with seeded(1), torch.no_grad():
        _, log_prob = objective.model.sample_with_log_prob(100)
    assert float(log_prob.mean() - loss) == pytest.approx(beta, abs=1e-5)


def test_validation_of_an_energy_is_not_annealed_and_repeats():
    objective = reverse_kl(lambda x: torch.ones(len(x)))
    free = reverse_kl(lambda x: torch.zeros(len(x)))
    state = torch.get_rng_state()
    assert float(free.validation_loss() - objective.validation_loss()) == pytest.approx(1, abs=1e-5)
    assert torch.equal(torch.get_rng_state(), state)
    assert not objective.validation_loss().requires_grad
