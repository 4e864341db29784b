"""Densities that learn from labels: p(x) = Σ_y p(y) p(x|y), whatever is asked of them."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import flowbench
from flowbench import certificates, flows
from flowbench.config import ConfigError
from flowbench.core import Event, LabelError, ShapeError
from flowbench.flows._labelled import Labelled
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.continuous import solve_exactly
from flowbench.runtime.seeding import seeded

TABLE = Event((3,), classes=3)
IMAGES = Event((1, 2, 2), levels=17, classes=3)
SMALL: dict[str, dict[str, Any]] = {
    "maf": {"layers": 2, "hidden": [12]},
    "realnvp": {"layers": 2, "hidden": [12]},
    "nsf": {"layers": 2, "hidden": [12]},
    "flow_matching": {"hidden": [12]},
}
EACH = pytest.mark.parametrize("flow", SMALL)
SHARES = torch.tensor([0.5, 0.3, 0.2])


def examples(event: Event, n: int) -> Tensor:
    """Made-up rows: flattened data and a label, each class with its share."""
    with seeded(1):
        x = torch.randint(event.levels, (n, event.dims)) if event.levels else torch.randn(n, event.dims)
        labels = torch.repeat_interleave(torch.arange(3), (SHARES * n).round().long())[torch.randperm(n)]
        return torch.column_stack((x, labels.to(x.dtype)))


def build(flow: str, event: Event = TABLE, **options: Any) -> Labelled:
    with seeded(0):
        model = flows.build(flow, event, {**SMALL[flow], "condition": "label", **options})
    assert isinstance(model, Labelled)
    model = certificates.randomised(solve_exactly(model), scale=0.5)
    model.initialise(examples(event, 200))
    return model.double().eval()


def test_the_frequencies_are_those_of_the_training_data():
    torch.testing.assert_close(build("maf").prior.frequencies, SHARES.double())


@torch.no_grad()
@EACH
def test_the_density_is_the_sum_over_the_classes(flow):
    model, x = build(flow), examples(TABLE, 10)[:, :-1].double()
    total = torch.zeros(10, dtype=torch.float64)
    for label, share in enumerate(SHARES.tolist()):
        rows = torch.column_stack((torch.eye(3, dtype=x.dtype)[label].expand(10, 3), x))
        z, logdet = model.transform.encode(rows)
        assert torch.equal(z[:, :3], rows[:, :3])
        given = torch.distributions.Normal(0, 1).log_prob(z[:, 3:]).sum(1) + logdet
        total += share * given.exp()
    torch.testing.assert_close(model.log_prob(x), total.log(), atol=1e-8, rtol=1e-8)


@torch.no_grad()
@EACH
def test_the_loss_is_of_the_label_alone(flow):
    """The mean over all pairs of -log p(x|y), against the joint density, which the prior has the frequencies of."""
    if flow == "flow_matching":
        pytest.skip("it learns by regression")
    model, rows = build(flow), examples(TABLE, 10).double()
    z, logdet = model.transform.encode(model.rows(rows)[0])
    joint = model.log_prior(z) + logdet
    expected = -(joint - SHARES.double().log()[rows[:, -1].long()]).mean()
    torch.testing.assert_close(model.loss(rows), expected)


@torch.no_grad()
@EACH
@pytest.mark.parametrize("event", [TABLE, IMAGES], ids=["table", "images"])
def test_whatever_label_is_drawn_the_density_by_encode_is_the_same(flow, event):
    model, seen = build(flow, event).float(), set()
    x = examples(event, 10)[:, :-1].reshape(10, *event.shape)
    for seed in range(4 if flow == "flow_matching" else 20):  # which solves equations
        with seeded(seed):  # the noise on grey levels comes before the label
            z, logdet = model.encode(x)
        with seeded(seed):
            expected = model.log_prob(x)
        torch.testing.assert_close(model.log_prior(z) + logdet, expected, atol=1e-4, rtol=1e-5)
        seen |= {(i, label) for i, label in enumerate(z[:, :3].argmax(1).tolist())}
    assert len(seen) > 10, "one and the same example gets more than one label"


@torch.no_grad()
@EACH
def test_the_density_depends_on_the_label(flow):
    model, x = build(flow), torch.zeros(1, 3, dtype=torch.float64)
    joint = model._log_joint(x) - SHARES.double().log()
    assert float(joint.amax() - joint.amin()) > 1e-3


@torch.no_grad()
def test_even_the_first_feature_depends_on_the_context():
    for hidden in ([16, 16], [8], []):
        with seeded(0):
            layer = certificates.randomised(MaskedAutoregressive(4, hidden, context=2), scale=1.0)
        x = torch.randn(1, 4)
        one, other = (layer.encode(torch.column_stack((torch.tensor([label]), x)))[0] for label in ([1.0, 0], [0, 1.0]))
        assert not torch.isclose(one[:, 2:], other[:, 2:]).any()


@torch.no_grad()
def test_samples_have_the_frequencies_of_the_classes_at_any_temperature():
    model = build("maf").float()
    n = 20_000
    with seeded(0):
        z = model.prior().sample((n,))
    assert torch.equal(z[:, :3].sum(1), torch.ones(n))
    torch.testing.assert_close(z[:, :3].mean(0), SHARES, atol=0.02, rtol=0)
    warm = model.warmed(z, 0.5)
    assert torch.equal(warm[:, :3], z[:, :3])
    assert torch.equal(warm[:, 3:], 0.5 * z[:, 3:])
    assert model.sample(4, temperature=0.5).shape == (4, 3)


def test_latents_of_the_features_are_those_of_a_flow_without_labels():
    with seeded(0):
        z = build("maf").float().prior().sample((5,))
    plain = flows.build("maf", TABLE, SMALL["maf"])
    with seeded(0):
        assert torch.equal(z[:, 3:], plain.prior().sample((5,)))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (3.0, "expected whole labels from 0 to 2, got 3"),
        (-1.0, "expected whole labels from 0 to 2, got -1"),
        (0.5, r"expected whole labels from 0 to 2, got 0\.5"),
        (math.nan, "expected whole labels from 0 to 2, got nan"),
    ],
)
def test_what_names_no_class_is_refused(label, message):
    model, rows = build("maf"), examples(TABLE, 10).double()
    rows[4, -1] = label
    for use in (model.loss, model.initialise):
        with pytest.raises(LabelError, match=message):
            use(rows)


def test_a_class_that_training_never_saw_is_refused():
    model, rows = build("maf"), examples(TABLE, 100)
    model.initialise(rows[rows[:, -1] != 1].double())
    with pytest.raises(LabelError, match="label 1: training never saw an example of this class"):
        model.loss(rows.double())
    assert model.log_prob(rows[:, :-1].double()).isfinite().all(), "its share is zero"
    model.initialise(rows.double())  # a training anew may
    assert model.loss(rows.double()).isfinite()


@EACH
def test_data_without_labels_are_refused(flow):
    with pytest.raises(ConfigError, match="condition: label needs data with labels, and these have none"):
        build(flow, replace(TABLE, classes=None))


def test_rows_without_a_label_are_refused():
    with pytest.raises(ShapeError, match=r"rows of 3 numbers and a label, expected events of shape \(4,\), got \(3,\)"):
        build("maf").loss(torch.zeros(5, 3))


@pytest.mark.parametrize(
    ("flow", "options", "message"),
    [
        ("realnvp", {"architecture": "convolutional"}, "condition is for the vector architecture"),
        ("flow_matching", {"coupling": "optimal-transport"}, "architecture vector with coupling independent"),
    ],
)
def test_what_cannot_be_conditioned_says_so(flow, options, message):
    with pytest.raises(ConfigError, match=message):
        build(flow, Event((4, 2, 2), levels=17, classes=3) if flow == "realnvp" else TABLE, **options)


def test_a_state_holds_the_frequencies():
    model = build("nsf")
    fresh = flows.build("nsf", TABLE, {**SMALL["nsf"], "condition": "label"}).double()
    fresh.load_state_dict(copy.deepcopy(model.state_dict()))
    x = examples(TABLE, 10)[:, :-1].double()
    assert torch.equal(fresh.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("path", ["conditional", "linear", "diffusion"])
def test_paths_move_the_features_alone(path):
    model, rows = build("flow_matching", path=path, sigma=0.0 if path == "diffusion" else 0.1), examples(TABLE, 50)
    seen = []
    field = model.flow.field
    hook = field.register_forward_pre_hook(lambda module, given: seen.append(given[1]))
    model.loss(rows.double())
    hook.remove()
    assert torch.equal(seen[0][:, :3].argmax(1), rows[:, -1].long())
    assert torch.equal(seen[0][:, :3].sum(1), torch.ones(50, dtype=torch.float64))
    assert not model.flow.field(torch.tensor(0.5).double(), seen[0])[:, :3].any()


def blobs(n: int, seed: int) -> Tensor:
    """Two narrow Gaussians, one for each class, with the label behind."""
    with seeded(seed):
        labels = torch.arange(n) % 2
        centres = torch.tensor([[-3.0, 1.0], [3.0, -1.0]])
        return torch.column_stack((centres[labels] + 0.3 * torch.randn(n, 2), labels))


def test_labels_help_a_map_too_simple_for_two_classes():
    """An affine coupling cannot part one normal density in two; with labels it need not."""
    train, validation, test = (blobs(n, seed) for n, seed in ((2000, 0), (500, 1), (500, 2)))
    nats = {}
    for condition in (None, "label"):
        flow = flowbench.build("maf", dims=2, classes=2, layers=1, hidden=[32], condition=condition)
        keep = 3 if condition else 2
        flowbench.fit(flow, train[:, :keep], validation[:, :keep], steps=300, learning_rate=0.02)
        nats[condition] = -float(flow.log_prob(test[:, :2]).detach().mean())
    truth = math.log(2) + 2 * math.log(0.3 * math.sqrt(2 * math.pi * math.e))
    assert nats["label"] < truth + 0.1
    assert nats[None] > nats["label"] + 0.3


@torch.no_grad()
@pytest.mark.parametrize("flow", [name for name in SMALL if name != "flow_matching"])
def test_errors_are_counted_in_the_units_of_the_features(flow):
    model, test = build(flow).float(), examples(TABLE, 20)[:, :-1]
    plain = flowbench.score(model, test, samples=10, invertibility_points=10, logdet_points=1)
    scaled = flowbench.score(
        model, test, unit=torch.full((3,), 1e-3), samples=10, invertibility_points=10, logdet_points=1
    )
    name = "invertibility_error_mean"
    assert scaled[name] == pytest.approx(1000 * plain[name])
    assert flowbench.certify(model, test, points=2).passes
