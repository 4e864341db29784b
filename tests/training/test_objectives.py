import math
from functools import partial

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from flowbench import flows
from flowbench.core import Event, FlowModel, FlowSequential
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.dequantise import Dequantise
from flowbench.runtime.seeding import seeded
from flowbench.training import objectives
from flowbench.training.objectives import CompilationError, DataLoss, ReverseKL


class Recorder(FlowModel):
    """Its loss is the mean of the batch; it keeps the sizes of the batches and whether it was training."""

    def __init__(self):
        super().__init__(FlowSequential(), standard_normal(1))
        self.sizes, self.modes = [], []

    def loss(self, batch):
        self.sizes.append(len(batch))
        self.modes.append(self.training)
        return batch.float().mean()


def validating(model: FlowModel, validation: torch.Tensor, seed: int = 0) -> float:
    return float(DataLoss(model, iter([]), validation, seed).validation_loss(model))


def test_each_step_takes_the_next_batch():
    objective = DataLoss(Recorder(), iter(torch.arange(6.0).view(3, 2, 1)), torch.zeros(1, 1), 0)
    assert [float(objective.loss(step)) for step in range(3)] == [0.5, 2.5, 4.5]


def test_validation_weighs_each_example_alike_and_trains_nothing(monkeypatch):
    model = Recorder().train()
    monkeypatch.setattr(objectives, "_VALIDATION_NUMBERS", 5000)
    x = torch.arange(5003.0)[:, None]  # more than is evaluated at once, and no multiple of it
    state = torch.get_rng_state()
    assert validating(model, x) == pytest.approx(2501)
    assert torch.equal(torch.get_rng_state(), state)
    assert (model.sizes, model.modes) == ([5000, 3], [False, False])
    assert model.training


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [((5000, 2), [5000]), ((250, 1, 8, 8), [250]), ((1000, 3, 32, 32), [341, 341, 318]), ((2, 2**21), [1, 1])],
    ids=str,
)
def test_validation_passes_are_bounded_by_numbers_and_not_by_examples(shape, sizes):
    model = Recorder()
    validating(model, torch.zeros(shape, dtype=torch.uint8))
    assert model.sizes == sizes


def test_validation_in_parts_gives_the_same_as_whole(monkeypatch):
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    whole = validating(model, x)
    monkeypatch.setattr(objectives, "_VALIDATION_NUMBERS", 14)
    assert validating(model, x) == pytest.approx(whole, rel=1e-6)


def test_validation_noise_is_the_same_each_time():
    model = FlowModel(FlowSequential(), standard_normal(3), dequantise=Dequantise(17))
    levels = torch.randint(17, (40, 3))
    objective = DataLoss(model, iter([]), levels, validation_seed=5)
    first = objective.validation_loss(model)
    assert torch.equal(objective.validation_loss(model), first)
    assert not first.requires_grad
    assert validating(model, levels, seed=6) != float(first)


def test_validation_is_of_the_model_that_is_given():
    trained, other = (FlowModel(ElementwiseAffine((2,)), standard_normal(2)) for _ in range(2))
    torch.nn.init.constant_(other.transform.shift, 3)
    x = torch.zeros(10, 2)
    for objective in (
        DataLoss(trained, iter([]), x, 0),
        ReverseKL(trained, lambda x: TARGET.log_prob(x), 10, 1, 0),
    ):
        assert not torch.equal(objective.validation_loss(trained), objective.validation_loss(other))


@pytest.fixture
def traced(monkeypatch):
    """Let torch trace and not translate to machine code, which takes long; count the traces."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend, fullgraph=True))
    yield graphs
    torch.compiler.reset()


def test_a_compiled_likelihood_is_the_same_and_compiled_once(traced):
    for _ in range(2):  # models, as of two seeds
        traced.clear()
        model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
        names = set(model.state_dict())
        batches = [torch.full((5, 2), float(i)) for i in range(4)]
        losses = [
            [float(objective.loss(step).detach()) for step in range(4)]
            for compile in (False, True)
            for objective in [DataLoss(model, iter(batches), torch.zeros(3, 2), 0, compile=compile)]
        ]
        assert losses[1] == pytest.approx(losses[0], rel=1e-6)
        assert len(traced) == 1
        assert set(model.state_dict()) == names


def test_a_compiled_energy_is_the_same(traced):
    plain, fast = (reverse_kl(batch_size=100, compile=compile) for compile in (False, True))
    for step in (0, 50):
        with seeded(0):
            expected = plain.loss(step)
        with seeded(0):
            loss = fast.loss(step)
        torch.testing.assert_close(loss, expected)
    assert len(traced) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda model: DataLoss(model, iter([]), torch.zeros(3, 2), 0, compile=True),
        lambda model: ReverseKL(model, lambda x: x, 10, 1, 0, compile=True),
    ],
    ids=["data", "energy"],
)
def test_a_solver_is_not_compiled(make):
    with pytest.raises(CompilationError, match="ContinuousFlow chooses its steps"):
        make(flows.build("cnf", Event((2,)), {"hidden": [8]}))


def test_a_regression_that_solves_nothing_is_compiled(traced):
    model = flows.build("flow_matching", Event((2,)), {"hidden": [8]})
    x = torch.randn(5, 2)
    losses = []
    for compile in (False, True):
        objective = DataLoss(model, iter([x]), x, 0, compile=compile)
        with seeded(0):
            losses.append(objective.loss(0))
    torch.testing.assert_close(losses[0], losses[1])
    assert len(traced) == 1


MODEL_MEAN, MODEL_STD = torch.tensor([0.5, -1.0]), torch.tensor([0.7, 1.5])
TARGET = Independent(Normal(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])), 1)
LOG_NORMALISER = math.log(2 * math.pi * 1.0 * 2.0)


def reverse_kl(log_energy=lambda x: TARGET.log_prob(x) + LOG_NORMALISER, **options) -> ReverseKL:
    transform = ElementwiseAffine((2,))
    transform.load_state_dict({"shift": MODEL_MEAN, "log_scale": MODEL_STD.log()})
    model = FlowModel(transform, standard_normal(2))
    objective = ReverseKL(
        model, log_energy, **({"batch_size": 200_000, "anneal_steps": 100, "validation_seed": 0} | options)
    )
    objective.model = model  # for the tests
    return objective


def test_reverse_kl_is_the_closed_form_up_to_the_normaliser():
    objective = reverse_kl()
    objective.validation_samples = 200_000
    expected = kl_divergence(Independent(Normal(MODEL_MEAN, MODEL_STD), 1), TARGET)
    loss = float(objective.validation_loss(objective.model))
    assert loss + LOG_NORMALISER == pytest.approx(float(expected), abs=0.01)
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
    losses = [one.validation_loss(one.model) for one in (free, objective)]
    assert float(losses[0] - losses[1]) == pytest.approx(1, abs=1e-5)
    assert torch.equal(torch.get_rng_state(), state)
    assert not losses[1].requires_grad
