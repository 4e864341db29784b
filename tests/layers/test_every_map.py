"""What a `FlowModule` promises, of every layer and of the map of every flow: new ones are tested by existing."""

import copy
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from flowbench import certificates, config, layers
from flowbench.core import Check, FlowModule, FlowSequential
from flowbench.core.checks import autograd_logdet
from flowbench.layers.continuous import ContinuousFlow, solving
from flowbench.runtime.seeding import seeded
from tests.shallow import shallow_flows

PARAMS = config.load(Path(__file__).parents[2] / "params.yaml")


def distinct(subjects: Iterable[tuple[str, FlowModule, tuple[int, ...]]]) -> dict[str, tuple[FlowModule, tuple]]:
    """Subjects without those that are the same to the last bit: in miniature, or trained otherwise, some are."""
    found: dict[tuple, tuple] = {}
    for name, module, shape in subjects:
        found.setdefault(certificates.identity(module, shape), (name, module, shape))
    return {name: (module, shape) for name, module, shape in found.values()}


SUBJECTS = distinct(certificates.subjects(shallow_flows(PARAMS)))
LAYERS = {name: (module, shape) for name, module, shape in layers.examples()}
# One example of each layer.
ONE_EACH = {name.partition(":")[0]: name for name in reversed(LAYERS)}.values()
# The layers and one map of each flow. What a layer keeps, a chain of layers keeps too; all chains are certified.
FLOWS = {name.partition("/")[0]: name for name in reversed(SUBJECTS) if "/" in name}
THOROUGH = [*LAYERS, *FLOWS.values()]
BOTH = pytest.mark.parametrize("direction", ["encode", "decode"])
# Of a solver, in place of the 1e-10 that the subjects ask for: to see where it leads, fewer digits do.
TOLERANCE = 1e-6


class Subject(NamedTuple):
    module: FlowModule  # float32, at random parameters
    x: Tensor  # (7, *shape), in the module's domain
    z: Tensor  # its latent

    def points(self, direction: str) -> Tensor:
        return self.x if direction == "encode" else self.z


def solved(module: FlowModule) -> bool:
    """Whether a differential equation is in it, which has no more digits than its tolerance."""
    return any(isinstance(part, ContinuousFlow) for part in module.modules())


@pytest.fixture(params=THOROUGH, scope="module")
def subject(request) -> Subject:
    module, shape = SUBJECTS[request.param]
    module = certificates.randomised(module)
    for part in module.modules():
        if isinstance(part, ContinuousFlow):
            part.tolerance = TOLERANCE
    x = certificates.events(module, shape, 7, seed=1)
    return Subject(module, x, module.initialise(x))


def test_every_layer_has_examples():
    # Dequantisation is random, so it has tests of its own.
    assert {name.partition(":")[0] for name in LAYERS} == set(layers.names()) - {"dequantise"}
    assert LAYERS.keys() <= SUBJECTS.keys()


def certified(module: FlowModule, shape: tuple[int, ...], points: int) -> Check:
    """`certificates.certify`, where autograd goes through the states of a solver only, which need no log-determinants.

    In 64 dimensions this takes a tenth of the time.
    """

    def through_states(direction, x: Tensor) -> Tensor:
        with solving(direction.__self__, logdets=False):
            return autograd_logdet(direction, x)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flowbench.core.maps.autograd_logdet", through_states)
        return certificates.certify(module, shape, points=points)


@pytest.mark.parametrize("name", SUBJECTS)
def test_inverses_and_log_determinants_are_right(name):
    module, shape = SUBJECTS[name]
    if solved(module) and len(shape) == 3:  # the network of an image is evaluated thousands of times
        module, factor = copy.deepcopy(module), 1000.0
        for part in module.modules():
            if isinstance(part, ContinuousFlow):
                part.tolerance = 1e-8
    else:
        factor = 1.0
    # Each point of an image takes many solutions.
    check = certified(module, shape, points=1 if solved(module) and math.prod(shape) > 16 else 2)
    assert certificates.faults(check, factor) == []
    if not solved(module):
        assert check.round_trip_error < 1e-11
        assert check.logdet_error < 1e-11


def test_single_precision_is_enough_for_the_inverse(subject):
    again, _ = subject.module.decode(subject.z)
    latent_again, _ = subject.module.encode(again)
    # A solver goes as far as single precision bears, and an error may grow on the way: the report asks for 1e-3.
    limit = 1e-3 if solved(subject.module) else 3e-5
    torch.testing.assert_close(again, subject.x, atol=limit, rtol=0)
    torch.testing.assert_close(latent_again, subject.z, atol=limit, rtol=limit)


@BOTH
def test_log_determinants_are_vectors_of_floats(subject, direction):
    for batch in (1, 7):
        image, logdet = getattr(subject.module, direction)(subject.points(direction)[:batch])
        assert image.shape[0] == batch
        assert image.dtype == torch.float32
        assert logdet.shape == (batch,)
        assert logdet.dtype in (torch.float32, torch.float64)


@BOTH
def test_gradients_reach_every_parameter(subject, direction):
    module = copy.deepcopy(subject.module)
    image, logdet = getattr(module, direction)(subject.points(direction))
    if not (parameters := dict(module.named_parameters())):
        return
    with seeded(2):
        (image * torch.randn_like(image)).sum().add(logdet.sum()).backward()
    gradients = {name: parameter.grad for name, parameter in parameters.items()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    # Of a single feature some parameters have nothing to act on.
    if subject.x[0].numel() > 1:
        assert [name for name, gradient in gradients.items() if not gradient.any()] == []


@BOTH
def test_gradients_reach_the_input(subject, direction):
    points = subject.points(direction).clone().requires_grad_()
    image, _ = getattr(subject.module, direction)(points)
    image.sum().backward()
    assert points.grad.isfinite().all()
    assert points.grad.flatten(1).any(1).all()


@torch.no_grad()
@BOTH
def test_examples_do_not_mix(subject, direction):
    module, points = copy.deepcopy(subject.module).double(), subject.points(direction).double()
    whole, whole_logdet = getattr(module, direction)(points)
    parts = [getattr(module, direction)(part) for part in points.split([1, 4, 2])]
    tolerance = 1e-3 if solved(module) else 1e-12  # an error of the solver's steps may grow on the way
    close = {"atol": tolerance, "rtol": tolerance}
    torch.testing.assert_close(torch.cat([image for image, _ in parts]), whole, **close)
    torch.testing.assert_close(torch.cat([logdet for _, logdet in parts]), whole_logdet, **close)


@cache
def drawn_anew() -> dict[str, FlowModule]:
    """The examples of layers with other random parameters and permutations."""
    with seeded(3):
        return {name: module for name, module, _ in layers.examples()}


@pytest.mark.parametrize("name", LAYERS)
def test_a_checkpoint_holds_all_that_is_learnt_or_drawn(name, tmp_path):
    module, shape = LAYERS[name]
    module = certificates.randomised(module)
    x = 0.1 + 0.8 * torch.rand(7, *shape)
    module.initialise(x)
    z, _ = module.encode(x)
    save_file(module.state_dict(), tmp_path / "weights.safetensors")
    fresh = drawn_anew()[name]
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(fresh.encode(x)[0], z)
    assert torch.equal(fresh.decode(z)[0], module.decode(z)[0])


class Planted(FlowModule):
    """A map with a small error in one of the four things that it returns."""

    def __init__(self, module: FlowModule, place: str, error: float):
        super().__init__()
        self.module = module
        self.errors = {"latent": 0.0, "encode's logdet": 0.0, "data": 0.0, "decode's logdet": 0.0} | {place: error}

    def encode(self, x):
        z, logdet = self.module.encode(x)
        return z + self.errors["latent"], logdet + self.errors["encode's logdet"]

    def decode(self, z):
        x, logdet = self.module.decode(z)
        return x + self.errors["data"], logdet + self.errors["decode's logdet"]


@pytest.mark.parametrize("place", ["latent", "encode's logdet", "data", "decode's logdet"])
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_planted_error_is_caught(name, place):
    module, shape = LAYERS[name]
    for error in (1e-6, math.nan):
        assert not certificates.passes(certified(Planted(module, place, error), shape, points=1))


class WithMistake(FlowSequential):
    """A right map, one method of which is replaced by a mistake that has been made in the field."""

    def __init__(self, module: FlowModule, mistake: str):
        super().__init__(module)
        self.mistake = mistake

    def encode(self, x):
        z, logdet = super().encode(x)
        match self.mistake:
            case "no log-determinant":
                logdet = torch.zeros_like(logdet)
            case "mean over the event":
                logdet = logdet / x[0].numel()
            case "summed over the batch":
                logdet = logdet.sum().expand(len(x))
        return z, logdet

    def decode(self, z):
        x, logdet = super().decode(z)
        match self.mistake:
            case "log-determinant of the other direction":
                logdet = -logdet
            case "inverse of the wrong variable":
                x = super().decode(x)[0]
        return x, logdet


@pytest.mark.parametrize(
    "mistake",
    [
        "no log-determinant",
        "mean over the event",
        "summed over the batch",
        "log-determinant of the other direction",
        "inverse of the wrong variable",
    ],
)
@pytest.mark.parametrize(
    "name", ["actnorm: image", "affine_coupling: odd", "autoregressive: vector", "planar: vector", "standardise: image"]
)
def test_a_mistake_is_caught(name, mistake):
    module, shape = LAYERS[name]
    assert not certificates.passes(certificates.certify(WithMistake(module, mistake), shape))
    assert certificates.passes(certificates.certify(WithMistake(module, "none"), shape))


@torch.no_grad()
@BOTH
def test_autocast_rounds_only_the_networks(subject, direction):
    x = subject.points(direction)
    exact, exact_logdet = getattr(subject.module, direction)(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, logdet = getattr(subject.module, direction)(x)
    assert y.dtype == logdet.dtype == torch.float32
    # Networks at random parameters are rounded to three digits; a map without a network not at all.
    torch.testing.assert_close(y, exact, atol=0.1, rtol=0.1)
    torch.testing.assert_close(logdet, exact_logdet, atol=0.1 * math.sqrt(x[0].numel()), rtol=0.05)
    if not any(isinstance(part, torch.nn.Linear | torch.nn.Conv2d) for part in subject.module.modules()):
        assert torch.equal(y, exact)


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
def test_both_directions_see_the_same_network_under_autocast(name):
    module, shape = LAYERS[name]
    module = certificates.randomised(module)
    x = certificates.events(module, shape, 200, seed=1)
    exact, _ = module.encode(x)
    with torch.autocast("cpu", torch.bfloat16):
        z, logdet = module.encode(x)
        again, logdet_again = module.decode(z)
        z_again, _ = module.encode(again)
    limit = {"atol": 3e-5, "rtol": 3e-5}
    torch.testing.assert_close(again, x, **limit)
    torch.testing.assert_close(z_again, z, **limit)
    torch.testing.assert_close(logdet_again, -logdet, atol=1e-4, rtol=1e-4)
    # Networks that couplings evaluate twice at the same point may be rounded; all others are not.
    if "coupling" not in name and "split" not in name:
        torch.testing.assert_close(z, exact, **limit)
