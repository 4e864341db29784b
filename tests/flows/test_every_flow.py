"""What a benchmarked model promises, of every configuration in params.yaml on every kind of data it is used on."""

import copy
import dataclasses
import pickle
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from flowbench import certificates, config, data, flows
from flowbench.config import suites
from flowbench.core import Event, FittedModel, FlowModel, ShapeError
from flowbench.flows._continuous import ContinuousModel
from flowbench.layers.continuous import ContinuousFlow, solve_exactly, solving
from flowbench.numerics.quadrature import Grid, log_integral
from flowbench.runtime.seeding import seeded
from tests.flows.learning import learnt_from
from tests.shallow import shallow

ROOT = Path(__file__).parents[2]
PARAMS = config.load(ROOT / "params.yaml")
SUITES = {name: suites.load(name, PARAMS, ROOT) for name in suites.names(ROOT)}
# Of a solver; its certificate, with more digits, is the business of the tests of maps.
TOLERANCE = 1e-6
CLASSES = 3


class Case(NamedTuple):
    flow: str
    options: dict[str, Any]
    event: Event


def cases() -> dict[str, Case]:
    """What the suites build, each once, standardised or not: images in miniature, and tables with few columns."""
    found: dict[str, Case] = {}
    kinds: list[Case] = []
    for suite in SUITES.values():
        for cell in suite.cells.values():
            event = data.load(cell.data, **PARAMS.data[cell.data]).event
            if len(event.shape) == 1:
                event = dataclasses.replace(event, shape=(min(event.dims, 4),))
            event = dataclasses.replace(event, classes=CLASSES)  # of all data, so that each is built once
            event, options = certificates.in_miniature(event, shallow(PARAMS.flows[cell.flow][cell.config]))
            # How start and data are coupled concerns the loss of a batch alone, which has tests of its own.
            same = {key: value for key, value in options.items() if key not in ("coupling", "coupled_at_once")}
            if (kind := Case(cell.flow, same, dataclasses.replace(event, standardise=True))) not in kinds:
                kinds.append(kind)
                found[f"{cell.flow}/{cell.config} on {cell.data}"] = Case(cell.flow, options, event)
    return found


CASES = cases()
# Each configuration once: data that are not standardised need no test of their own.
PLANE = list({name.partition(" ")[0]: name for name, case in CASES.items() if case.event.dims == 2}.values())


def examples(event: Event, n: int) -> Tensor:
    """Made-up data of an event."""
    with seeded(0):
        return torch.randint(event.levels, (n, *event.shape)) if event.levels else torch.randn(n, *event.shape)


def build(name: str, seed: int = 0) -> FlowModel:
    case = CASES[name]
    with seeded(seed):
        model = solve_exactly(flows.build(case.flow, case.event, case.options))
    for part in model.modules():
        if isinstance(part, ContinuousFlow):
            part.tolerance = TOLERANCE
    return model


@cache
def ready(name: str) -> FlowModel:
    """A model at random parameters with data-dependent ones set, or fitted; not to be changed."""
    event = CASES[name].event
    model = certificates.randomised(build(name))
    if isinstance(model, FittedModel):
        with seeded(0):
            model.fit(examples(event, 300), examples(event, 100))
    else:
        model.initialise(learnt_from(model, examples(event, 200)))
    return model.eval()


@pytest.fixture(params=CASES)
def name(request) -> str:
    return request.param


def test_every_file_is_configured_and_in_a_suite():
    assert set(flows.names()) == set(PARAMS.flows)
    assert {cell.flow for suite in SUITES.values() for cell in suite.cells.values()} == set(flows.names())


def test_samples_look_like_data(name):
    event, model = CASES[name].event, ready(name)
    with torch.no_grad():
        x = model.sample(50)
    assert x.shape == (50, *event.shape)
    assert x.isfinite().all()
    if event.levels:
        assert torch.equal(x, x.round().clamp(0, event.levels - 1))


@torch.no_grad()
def test_samples_have_the_density_that_they_come_with(name):
    model = copy.deepcopy(ready(name)).double()
    if not isinstance(model, FlowModel):  # a generator samples, and has no density
        assert not hasattr(model, "sample_with_log_prob")
        return
    model.dequantise = None  # rounding to levels would hide the value that the density is of
    solved = isinstance(model, ContinuousModel)
    x, log_prob = model.sample_with_log_prob(5 if solved else 50, torch.Generator().manual_seed(0))
    # Of an extreme sample the inverse of the logit rounds away some digits.
    relative = 1e-6 if CASES[name].options.get("logit") else 1e-8
    torch.testing.assert_close(model.log_prob(x), log_prob, atol=100 * TOLERANCE if solved else 1e-8, rtol=relative)


@pytest.mark.parametrize("flow", ["nice", "realnvp", "glow", "maf", "iaf"])
def test_symmetry_does_not_keep_a_flow_from_learning(flow):
    """Of eight points on a circle neither feature's mean says anything about the other's."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> Tensor:
        angles = torch.randint(8, (n,), generator=generator) * (torch.pi / 4)
        return torch.stack([angles.cos(), angles.sin()], 1) + 0.05 * torch.randn(n, 2, generator=generator)

    # With all its layers: a shallow chain learns too little in so few steps.
    with seeded(0):
        model = flows.build(flow, CASES["maf/plane on moons"].event, PARAMS.flows[flow]["plane"])
    model.initialise(draw(10_000))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.002)
    for _ in range(100):
        optimiser.zero_grad()
        model.loss(draw(256)).backward()
        optimiser.step()
    x = draw(1000)
    gaussian = -torch.distributions.Normal(0, x.std(0)).log_prob(x).sum(1).mean()
    assert model.loss(x) < gaussian - 0.5, "in nats"


@pytest.mark.parametrize("name", PLANE)
def test_density_integrates_to_one(name):
    model = copy.deepcopy(ready(name)).double()
    with torch.no_grad():
        reach = 1.5 * float(model.sample(2000, torch.Generator().manual_seed(0)).abs().max())
    # Where a point takes a hundred evaluations, fewer points and digits must do.
    grid = Grid(-reach, reach, 100 if isinstance(model, ContinuousModel) else 250)
    with solving(model, tolerance_factor=100):
        log_mass = log_integral(grid.evaluate(model.log_prob, dtype=torch.float64), grid)
    assert log_mass == pytest.approx(0, abs=1e-2)  # the grid is coarse for the creases of planar maps


@pytest.mark.parametrize(
    ("flow", "options"),
    [("realnvp", {"layers": 2}), ("realnvp", {"layers": 3}), ("glow", {"steps": 2}), ("maf", {"layers": 2})],
    ids=str,
)
@torch.no_grad()
def test_mass_of_a_wide_map_is_that_of_its_samples(flow, options):
    """At random weights this large the density has spikes within tails of thousands, which no grid covers whole.

    Between the quartiles of each coordinate a grid can resolve it, and there its mass is the share of the samples.
    """
    with seeded(0):
        model = certificates.randomised(flows.build(flow, Event((2,)), {"hidden": [16], **options}), scale=3.0)
        model.initialise(torch.randn(500, 2))
    model.double()
    n, size = 200_000, 1000
    x = model.sample(n, torch.Generator().manual_seed(0))
    low, high = x.quantile(0.25, 0), x.quantile(0.75, 0)
    share = float(((x > low) & (x < high)).all(1).double().mean())
    unit = Grid(0, 1, size)
    mass = float(unit.evaluate(lambda u: model.log_prob(low + (high - low) * u), dtype=torch.float64).exp().sum())
    assert mass * float((high - low).prod()) * unit.cell_area == pytest.approx(share, abs=4 * (0.25 / n) ** 0.5)


def test_density_is_a_vector_for_any_batch(name):
    event, model = CASES[name].event, ready(name)
    if not isinstance(model, FlowModel):
        assert not hasattr(model, "log_prob")
        return
    for batch in (1, 7):
        log_prob = model.log_prob(examples(event, batch))
        assert log_prob.shape == (batch,)
        assert log_prob.dtype == torch.float32
        assert log_prob.isfinite().all()


def other_shapes(event: Event) -> list[tuple[int, ...]]:
    """Shapes that are not the event's: with one axis more, fewer, longer and shorter, and as one vector."""
    shape = event.shape
    found = [(*shape, 2), (2, *shape), (*shape, 1), (1, *shape), shape[1:], (shape[0] + 1, *shape[1:]), (1,), (1, 1)]
    return [other for other in [*found, (event.dims,)] if other != shape]


@torch.no_grad()
def test_data_of_another_shape_is_refused(name):
    event, model = CASES[name].event, ready(name)
    known = isinstance(model, FlowModel)
    for shape in other_shapes(event):
        x = torch.zeros(3, *shape, dtype=torch.int64 if event.levels else torch.float32)
        learns = not model.classes or shape != (event.dims + 1,)
        for use in (model.encode, *([model.loss] if learns else []), *([model.log_prob] if known else [])):
            with pytest.raises(ShapeError, match="expected events of shape"):
                use(x)


def test_grey_levels_out_of_range_are_refused(name):
    event, model = CASES[name].event, ready(name)
    if not event.levels:
        return
    for level in (event.levels, -1):
        x = examples(event, 3)
        x[-1].flatten()[-1] = level
        for use in (model.encode, lambda x, model=model: model.loss(learnt_from(model, x))):
            with pytest.raises(ValueError, match=f"expected whole grey levels from 0 to {event.levels - 1}, got"):
                use(x)


@torch.no_grad()
def test_a_model_can_be_copied_and_pickled(name):
    model = ready(name)
    batch = learnt_from(model, examples(CASES[name].event, 7))
    copies = [copy.deepcopy(model)]
    # torch itself refuses to pickle a parametrisation, such as weight normalisation.
    if not any(torch.nn.utils.parametrize.is_parametrized(part) for part in model.modules()):
        copies.append(pickle.loads(pickle.dumps(model)))
    with seeded(0):
        expected = model.loss(batch)
    for other in copies:
        with seeded(0):
            assert torch.equal(other.loss(batch), expected)


def test_the_loss_reaches_every_parameter(name):
    model = copy.deepcopy(ready(name)).train()
    batch = learnt_from(model, examples(CASES[name].event, 16))
    loss = model.loss(batch)
    assert loss.shape == ()
    if isinstance(model, FittedModel):
        assert list(model.parameters()) == []
        return
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_weights_survive_a_file(name, tmp_path):
    model = ready(name)
    batch = learnt_from(model, examples(CASES[name].event, 7))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    fresh = build(name, seed=1)  # whose permutations are others
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad(), seeded(0):
        expected = model.loss(batch)
    with torch.no_grad(), seeded(0):
        assert torch.equal(fresh.eval().loss(batch), expected)


def test_the_seed_decides_the_initial_parameters(name):
    state = build(name).state_dict()
    assert all(torch.equal(value, state[key]) for key, value in build(name).state_dict().items())


@pytest.mark.parametrize("flow", ["nice", "realnvp", "glow"])
def test_couplings_refuse_a_single_feature(flow):
    with pytest.raises(config.ConfigError, match="at least 2 dimensions"):
        flows.build(flow, Event((1,)), {"hidden": [8]})


@pytest.mark.parametrize(
    ("flow", "options"),
    [
        ("affine", {}),
        ("maf", {"hidden": [8]}),
        ("iaf", {"hidden": [8]}),
        ("planar", {"closed_form": "encode"}),
        ("planar", {"closed_form": "decode"}),
        ("radial", {"direction": "encode"}),
        ("sylvester", {"closed_form": "encode"}),
        ("residual", {"hidden": [8]}),
        ("residual", {"hidden": [8], "closed_form": "decode"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2, 1)], ids=str)
def test_flows_take_events_of_any_shape(flow, options, shape):
    model = flows.build(flow, Event(shape), options)
    assert certificates.passes(certificates.certify(model.transform, shape, points=3))
    assert model.sample(2).shape == (2, *shape)


def maps(model: FlowModel) -> list[str]:
    return [type(layer).__name__ for layer in model.transform.chain]


def test_preprocessing_is_that_of_the_event_and_the_options():
    event = Event((1, 4, 4), levels=17)
    with_all = flows.build("maf", event, {"layers": 1, "hidden": [4], "logit": 0.05})
    assert maps(with_all) == ["Logit", "Flatten", "Standardise", "MaskedAutoregressive", "Permutation"]
    assert with_all.dequantise.levels == 17
    bare = flows.build("affine", Event((3,), standardise=False), {})
    assert maps(bare) == ["ElementwiseAffine"]
    assert bare.dequantise is None


def test_a_logit_is_for_integer_data():
    with pytest.raises(config.ConfigError, match="logit is for integer data"):
        flows.build("maf", Event((3,)), {"hidden": [4], "logit": 0.05})


def test_a_wrong_option_names_its_key():
    with pytest.raises(config.ConfigError, match=r"flows\.glow\.wide = 'stepz': no such key; did you mean 'steps'\?"):
        flows.build("glow", Event((2,)), {"stepz": 1, "hidden": [8]}, "params.yaml: flows.glow.wide")
    with pytest.raises(config.ConfigError, match=r"flows\.maf\.layers = 0: "):
        flows.check("maf", {"layers": 0, "hidden": [8]}, "params.yaml: flows.maf")
    with pytest.raises(config.ConfigError, match=r"flows\.maf\.logit = 1e-08: "):
        flows.check("maf", {"hidden": [8], "logit": 1e-8}, "params.yaml: flows.maf")


def test_checked_options_hold_the_defaults():
    assert flows.check("gaussian", {"logit": 0.05}, "flows.gaussian") == {"covariance": "full", "logit": 0.05}
