import math

import pytest
import torch

from flowbench.config import TrainBudget
from flowbench.core import FlowModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.networks.mlp import mlp
from flowbench.runtime.seeding import seeded
from flowbench.training.adam import Adam
from flowbench.training.average import MovingAverage
from flowbench.training.batches import Batches
from flowbench.training.loop import LOG_EVERY, train
from flowbench.training.objectives import DataLoss
from flowbench.training.snapshots import Snapshots
from flowbench.training.state import learning_rate_factor


def budget(steps: int = 40, **options) -> TrainBudget:
    return TrainBudget(**({"steps": steps, "batch_size": 50, "validate_every": 10} | options))


def model() -> FlowModel:
    return FlowModel(ElementwiseAffine((2,)), standard_normal(2))


class Scripted:
    """Moves the shift towards infinity; fails, and validates, as it is told."""

    def __init__(self, trained: FlowModel, validation_losses=(), failing=math.inf, failure=math.nan):
        self.shift = trained.transform.shift
        self.validation_losses = iter(validation_losses)
        self.failing, self.failure = failing, failure
        self.seen = []  # the shift at each validation

    def loss(self, step):
        loss = -self.shift.sum()
        return loss * self.failure if step >= self.failing else loss

    def validation_loss(self, model):
        self.seen.append(self.shift.detach().clone())
        return torch.tensor(next(self.validation_losses, 0.0))


@pytest.mark.parametrize(
    ("options", "factors"),
    [
        ({"schedule": "constant"}, {0: 1, 50: 1, 99: 1}),
        ({"schedule": "cosine"}, {0: 1, 25: 0.5 + 2**-1.5, 50: 0.5, 75: 0.5 - 2**-1.5, 100: 0, 1000: 0}),
        ({"schedule": "constant", "warmup_steps": 10}, {0: 0.1, 4: 0.5, 9: 1, 10: 1, 99: 1}),
        ({"schedule": "cosine", "warmup_steps": 20}, {0: 0.05, 19: 1, 20: 1, 60: 0.5, 100: 0}),
        ({"schedule": "cosine", "warmup_steps": 100}, {0: 0.01, 99: 1, 100: 1}),
    ],
    ids=str,
)
def test_learning_rate_factor(options, factors):
    got = {step: learning_rate_factor(step, budget(100, **options)) for step in factors}
    assert got == pytest.approx(factors, abs=1e-12)


def test_the_best_weights_are_those_that_validate_best():
    trained = model()
    objective = Scripted(trained, [3.0, 1.0, 2.0, 1.0])
    outcome = train(trained, objective, budget(40))
    assert (outcome.status, outcome.best_step, outcome.best_validation_loss) == ("finished", 20, 1.0)
    assert torch.equal(outcome.weights["transform.shift"], objective.seen[1])
    assert not torch.equal(trained.transform.shift, objective.seen[1])  # the model went on


@pytest.mark.parametrize(
    ("patience", "validation_losses", "best", "steps"),
    [
        (1, [3.0, 1.0, 2.0, 0.0], 20, 30),
        (2, [3.0, 1.0, 2.0, 1.0, 0.0], 20, 40),
        (2, [3.0, 1.0, 2.0, 0.5, 1.0, 1.0], 40, 60),
        (3, [3.0, 2.0, 1.0, 0.5, 0.2, 0.1], 60, 60),
    ],
)
def test_training_ends_with_its_patience(patience, validation_losses, best, steps):
    trained = model()
    options = budget(60, patience=patience, snapshot_every=60)
    snapshots = Snapshots(lambda kept: kept.transform.shift.clone(), options, 35)
    outcome = train(trained, Scripted(trained, validation_losses), options, snapshots=snapshots)
    assert (outcome.status, outcome.best_step, outcome.history[-1].step) == ("finished", best, steps)
    assert list(outcome.snapshots) == [0, steps]


def test_history_has_a_row_every_few_steps_and_at_each_validation():
    trained = model()
    outcome = train(trained, Scripted(trained), budget(34, validate_every=15, learning_rate=0.1))
    assert LOG_EVERY == 10
    assert [(step, validation is not None) for step, _, validation, _ in outcome.history] == [
        (10, False),
        (15, True),
        (20, False),
        (30, True),
        (34, True),
    ]
    rates = [rate for *_, rate in outcome.history]
    assert rates == pytest.approx([0.1 * learning_rate_factor(step - 1, budget(34)) for step in (10, 15, 20, 30, 34)])
    assert outcome.seconds > 0


def test_history_holds_the_mean_loss_since_the_row_before():
    class Counting(Scripted):
        def loss(self, step):
            return 0 * self.shift.sum() + step

    trained = model()
    outcome = train(trained, Counting(trained), budget(20, validate_every=5))
    assert [row[1] for row in outcome.history] == [2.0, 7.0, 12.0, 17.0]


@pytest.mark.parametrize("failure", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_training(failure):
    trained = model()
    objective = Scripted(trained, [1.0, 0.5], failing=23, failure=failure)
    outcome = train(trained, objective, budget(100))
    assert (outcome.status, outcome.diverged_at) == ("diverged", 30)
    assert [row[0] for row in outcome.history] == [10, 20, 30]
    assert not math.isfinite(outcome.history[-1][1])
    # What was learnt before is still known.
    assert (outcome.best_step, outcome.best_validation_loss) == (20, 0.5)


@pytest.mark.parametrize("failure", [math.nan, math.inf])
def test_a_validation_loss_that_is_not_finite_ends_the_training(failure):
    trained = model()
    outcome = train(trained, Scripted(trained, [1.0, failure]), budget(100))
    assert (outcome.status, outcome.diverged_at, outcome.best_step) == ("diverged", 20, 10)


def test_divergence_at_the_first_row():
    trained = model()
    outcome = train(trained, Scripted(trained, failing=0), budget(100))
    assert (outcome.status, outcome.diverged_at, outcome.weights) == ("diverged", 10, {})


def test_snapshots_are_taken_at_their_steps():
    trained = model()

    def look(kept: FlowModel) -> torch.Tensor:
        assert kept is trained
        assert not kept.training
        assert not torch.is_grad_enabled()
        return kept.transform.shift.clone()

    options = budget(25, snapshot_every=10)
    outcome = train(trained, Scripted(trained), options, snapshots=Snapshots(look, options, 35))
    assert list(outcome.snapshots) == [0, 10, 20]
    assert torch.equal(outcome.snapshots[0], torch.zeros(2))
    assert (outcome.snapshots[10] < outcome.snapshots[20]).all()
    assert trained.training


def test_gradients_are_clipped():
    class Steep(Scripted):
        def loss(self, step):
            return 1e6 * self.shift.sum()

    trained = model()
    norms = []
    optimiser_step = Adam.step

    def recording(self, *arguments, **options):
        norms.append(float(torch.stack([p.grad.norm() for p in trained.parameters() if p.grad is not None]).norm()))
        return optimiser_step(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "step", recording)
        train(trained, Steep(trained), budget(3, clip_norm=2.0))
        train(trained, Steep(trained), budget(3, clip_norm=0.0))
    assert norms == pytest.approx([2.0] * 3 + [1e6 * math.sqrt(2)] * 3, rel=1e-4)


def test_the_average_is_what_is_validated_kept_and_shown():
    class Watching(Scripted):
        def validation_loss(self, model):
            self.seen.append(model)
            return -model.transform.shift.detach().sum()

    trained, shown = model(), []
    objective = Watching(trained)
    options = budget(20, ema_decay=0.9, schedule="constant")
    snapshots = Snapshots(lambda model: shown.append(model) or torch.zeros(1), options, 1)
    outcome = train(trained, objective, options, snapshots=snapshots)
    # Adam moves the shift by the learning rate at each step; the average is replayed by hand.
    average = 0.0
    for step in range(1, 21):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * step * 1e-3
    assert outcome.weights["transform.shift"].tolist() == pytest.approx([average] * 2, rel=1e-4)
    assert outcome.best_validation_loss == pytest.approx(-2 * average, rel=1e-4)
    assert trained.transform.shift.tolist() == pytest.approx([0.02] * 2, rel=1e-4)
    assert all(one is shown[0] for one in objective.seen)
    assert shown[0] is shown[1] is not trained
    assert set(outcome.weights) == set(trained.state_dict())


def test_without_a_decay_nothing_is_averaged(monkeypatch):
    monkeypatch.setattr(MovingAverage, "__init__", None)
    trained = model()
    assert torch.equal(
        train(trained, Scripted(trained), budget(10)).weights["transform.shift"], trained.transform.shift
    )


class Watched(FlowModel):
    """A coupling whose network's type of number is recorded, with that of the loss."""

    def __init__(self):
        self.seen: list[tuple[bool, torch.dtype]] = []
        network = mlp(1, [8], 2)
        super().__init__(AffineCoupling(network), standard_normal(2))
        network.register_forward_hook(lambda module, inputs, output: self.seen.append((self.training, output.dtype)))


@pytest.mark.parametrize(
    ("precision", "network"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)], ids=["float32", "bfloat16"]
)
def test_networks_train_in_the_precision_asked_for_and_all_else_in_float32(precision, network):
    class Typed(DataLoss):
        def loss(self, step):
            loss = super().loss(step)
            assert loss.dtype == torch.float32
            return loss

    with seeded(0):
        trained = Watched()
        x = torch.randn(200, 2)
        objective = Typed(trained, Batches(x, 50, torch.device("cpu")), x, 0)
        outcome = train(trained, objective, budget(10, precision=precision))
    assert set(trained.seen) == {(True, network), (False, torch.float32)}
    assert {value.dtype for value in outcome.weights.values()} == {torch.float32}
    assert {parameter.grad.dtype for parameter in trained.parameters()} == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_waits_for_the_host_at_rows_of_the_history_alone():
    class Strict(DataLoss):
        def loss(self, step):
            # From within one step to within a later one, before the row that reads the loss.
            torch.cuda.set_sync_debug_mode("error" if 1 <= step < LOG_EVERY - 1 else "default")
            return super().loss(step)

    gpu = torch.device("cuda")
    trained = Watched().to(gpu)
    x = torch.randn(75, 2)
    objective = Strict(trained, Batches(x, 25, gpu), x.to(gpu), 0)
    try:
        train(trained, objective, budget(LOG_EVERY, clip_norm=1.0, ema_decay=0.9, precision="bfloat16"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_affine_learns_the_moments_of_a_gaussian():
    mean, std = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 1.5])
    trained = model()
    with seeded(0):
        x = mean + std * torch.randn(2000, 2)
        objective = DataLoss(trained, Batches(x, 500, torch.device("cpu")), x, validation_seed=0)
        outcome = train(trained, objective, budget(400, learning_rate=0.05, validate_every=50))
    trained.load_state_dict(outcome.weights)
    torch.testing.assert_close(trained.transform.shift.detach(), x.mean(0), atol=0.01, rtol=0)
    torch.testing.assert_close(trained.transform.log_scale.detach().exp(), x.std(0), atol=0.01, rtol=0)
    # No model with these parameters has a lower loss than the entropy of the fitted Gaussian.
    best = float((x.std(0, unbiased=False).log() + 0.5 * math.log(2 * math.pi * math.e)).sum())
    assert outcome.best_validation_loss == pytest.approx(best, abs=1e-3)
