"""What is seen of a model while it learns, and that the model does not notice."""

import copy
import math
import time
from pathlib import Path

import pytest
import torch

from flowbench import config, flows
from flowbench.config import TrainBudget
from flowbench.core import Event, FlowModel
from flowbench.flows._priors import standard_normal
from flowbench.layers.affine import ElementwiseAffine
from flowbench.numerics.quadrature import Grid
from flowbench.runtime.seeding import seeded
from flowbench.training.batches import Batches
from flowbench.training.loop import train
from flowbench.training.objectives import DataLoss
from flowbench.training.snapshots import Snapshots, density, reconstructions

GRID = Grid(-4, 4, 40)
PARAMS = config.load(Path(__file__).parents[2] / "params.yaml")
PLANE = Event((2,))
IMAGES = Event((1, 4, 4), levels=17)
MODELS = {
    "nice": (PLANE, {"layers": 2, "hidden": [8]}),
    "glow": (PLANE, {"steps": 2, "hidden": [8], "prior": "mixture"}),
    "maf": (PLANE, {"layers": 2, "hidden": [8]}),
    "planar": (PLANE, {"layers": 2, "closed_form": "decode"}),
    "flow_matching": (PLANE, {"hidden": [8]}),
    "flow_autoencoder": (
        IMAGES,
        {"flow_learns_by": "likelihood", "channels": [4], "latent": 3, "layers": 2, "hidden": [8]},
    ),
}


def budget(steps: int = 60, **options) -> TrainBudget:
    return TrainBudget(**({"steps": steps, "batch_size": 50, "validate_every": 20} | options))


def build(flow: str):
    event, options = MODELS[flow]
    with seeded(1):
        return flows.build(flow, event, options)


def examples(flow: str) -> torch.Tensor:
    event, _ = MODELS[flow]
    with seeded(2):
        return torch.randint(17, (200, *event.shape)).float() if event.levels else torch.randn(200, 2)


def snapshots_of(flow: str, model, options: TrainBudget) -> Snapshots:
    if flow == "flow_autoencoder":
        return Snapshots.of_images(options, examples(flow)[:5])
    return Snapshots.of_density(model, options, GRID, energy=False)


@pytest.mark.parametrize(
    ("options", "intervals", "steps"),
    [
        ({"steps": 7000}, 35, range(0, 7001, 200)),
        ({"steps": 7000, "snapshot_every": 1000}, 35, range(0, 7001, 1000)),
        ({"steps": 25, "snapshot_every": 10}, 35, [0, 10, 20]),
        ({"steps": 10}, 4, [0, 2, 5, 8, 10]),
        ({"steps": 2}, 35, [0, 1, 2]),
    ],
    ids=str,
)
def test_they_are_spread_evenly(options, intervals, steps):
    assert Snapshots(lambda model: torch.zeros(1), budget(**options), intervals).steps == set(steps)


def test_a_density_is_that_of_the_model():
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
    frame = density(model, GRID)
    assert (frame.dtype, frame.shape) == (torch.float16, (40, 40))
    x = GRID.points()
    expected = (torch.exp(-x.square().sum(1) / 2) / (2 * math.pi)).view(40, 40)
    torch.testing.assert_close(frame.float(), expected, rtol=1e-3, atol=1e-6)
    # The second coordinate changes with the row.
    with torch.no_grad():
        model.transform.shift.copy_(torch.tensor([0.0, 2.0]))
    frame = density(model, GRID)
    assert GRID.points().view(40, 40, 2)[divmod(int(frame.argmax()), 40)].tolist() == pytest.approx([0, 2], abs=0.2)


def test_a_loose_solution_is_near_enough_and_leaves_the_tolerance():
    model = build("flow_matching")
    with torch.no_grad():
        exact = GRID.evaluate(model.log_prob).exp().view(40, 40)
    before = model.flow.tolerance
    assert (density(model, GRID) - exact).abs().max() < 0.01 * exact.max()
    assert model.flow.tolerance == before


def test_an_equation_that_cannot_be_solved_is_not_a_number():
    model = build("flow_matching")
    model.flow.tolerance = 0.0
    assert density(model, GRID).isnan().all()


@pytest.mark.parametrize("flow", MODELS)
def test_weights_that_are_not_finite_cost_nothing_but_the_frame(flow):
    model = build(flow)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    frame = snapshots_of(flow, model, budget()).take(model)
    assert frame.dtype == torch.uint8 or not frame.isfinite().all()


def test_a_spike_is_held_by_the_type_of_the_frame():
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
    with torch.no_grad():
        model.transform.shift.copy_(GRID.points()[0])
        model.transform.log_scale.fill_(-20.0)
    assert density(model, GRID).isfinite().all()


def test_images_and_reconstructions_are_bytes():
    model, images = build("flow_autoencoder").eval(), examples("flow_autoencoder")[:5]
    frame = reconstructions(model, images)
    assert (frame.dtype, frame.shape) == (torch.uint8, (2, 5, 1, 4, 4))
    torch.testing.assert_close(frame / 255, torch.stack(model.reconstruct(images)), rtol=0, atol=0.002)


def test_the_autoencoder_of_images_is_seen_after_each_epoch():
    """And before the first: ten epochs of what is left of MNIST without the validation split."""
    for name in ("autoencoder-image", "autoencoder-image-reconstruction"):
        options = PARAMS.budgets[name].train
        of_epoch = (60_000 - PARAMS.data["mnist"]["validation"]) / options.batch_size
        steps = sorted(Snapshots.of_images(options, examples("flow_autoencoder")).steps)
        assert [step / of_epoch for step in steps] == pytest.approx(range(11), abs=0.01)


def test_the_demonstration_has_a_frame_every_200_steps():
    options = PARAMS.budgets["demonstration"].train
    snapshots = Snapshots.of_density(build("planar"), options, GRID, energy=True)
    assert snapshots.steps == set(range(0, 20_001, 200))


@pytest.mark.parametrize("flow", MODELS)
def test_neither_the_model_nor_a_random_number_changes(flow):
    model = build(flow).train()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    snapshots = snapshots_of(flow, model, budget())
    first, again = snapshots.take(model), snapshots.take(model)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("flow", MODELS)
def test_a_training_ends_the_same_with_and_without(flow):
    def trained(shown: bool):
        model, x, options = build(flow), examples(flow), budget(40, ema_decay=0.9)
        snapshots = snapshots_of(flow, model, options) if shown else None
        with seeded(5):
            model.initialise(x)
            objective = DataLoss(model, Batches(x, 50, torch.device("cpu")), x[:50], validation_seed=3)
            return train(model, objective, options, snapshots=snapshots)

    with_them, without = trained(True), trained(False)
    assert len(with_them.snapshots) > 5
    assert with_them.history == without.history
    assert with_them.weights.keys() == without.weights.keys()
    assert all(torch.equal(value, without.weights[name]) for name, value in with_them.weights.items())


def test_the_seconds_leave_them_out():
    model = FlowModel(ElementwiseAffine((2,)), standard_normal(2))
    x, options = examples("nice"), budget(5)

    def slow(_) -> torch.Tensor:
        time.sleep(1)
        return torch.zeros(1)

    objective = DataLoss(model, Batches(x, 50, torch.device("cpu")), x, validation_seed=3)
    began = time.monotonic()
    outcome = train(model, objective, options, snapshots=Snapshots(slow, options, 2))
    assert time.monotonic() - began > 3
    assert outcome.seconds < 1
