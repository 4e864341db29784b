"""Every layer at inputs that nobody would choose: extreme values, odd layouts, no examples, other shapes and dtypes."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowbench import certificates, layers
from flowbench.core import FlowModule, ShapeError, SolverError
from flowbench.layers.continuous import ContinuousFlow
from flowbench.runtime.seeding import seeded

with seeded(0):
    LAYERS = {name: (module, shape) for name, module, shape in layers.examples()}
OTHER = {"encode": "decode", "decode": "encode"}
EXTREME = 1e4
# How many times the error of one operation all of a map's may come to.
OPERATIONS = 10
# Of a solver, in place of the 1e-10 that the examples ask for, and the steps whose errors may add up.
TOLERANCE, STEPS = 1e-5, 100

# Errors that say what was wrong: our own, and those of torch about sizes and types.
REFUSALS = (ShapeError, RuntimeError, IndexError, TypeError)

# Each layer takes its share of the profile's examples.
SHARE = settings(max_examples=max(1, settings.default.max_examples // 50))
EACH = pytest.mark.parametrize("name", LAYERS)
DIRECTIONS = st.sampled_from(["encode", "decode"])
DTYPES = st.sampled_from([torch.float32, torch.float64])
SEEDS = st.integers(0, 2**32)


@cache
def subject(name: str, dtype: torch.dtype, seed: int, scale: float) -> FlowModule:
    """A layer at random parameters, those that depend on data set; not to be changed."""
    module, shape = LAYERS[name]
    module = certificates.randomised(module, seed, scale)
    for part in module.modules():
        if isinstance(part, ContinuousFlow):
            part.tolerance = TOLERANCE
    module.initialise(certificates.events(module, shape, 64, seed))
    return module.to(dtype)


@cache
def latent_shape(name: str) -> tuple[int, ...]:
    module, shape = LAYERS[name]
    return tuple(module.encode(certificates.events(module, shape, 1, 0))[0].shape[1:])


def taken(name: str, direction: str) -> tuple[tuple[int, ...], tuple[float, float] | None]:
    """The shape of what a direction takes, and the interval that its numbers lie in."""
    module, shape = LAYERS[name]
    return (shape, module.domain) if direction == "encode" else (latent_shape(name), None)


def palette(like: Tensor, domain: tuple[float, float] | None) -> dict[str, Tensor]:
    """What the numbers of an input may be, each kind of the shape of ``like``."""
    sign = torch.randn_like(like).sign()
    tiny = sign * torch.finfo(like.dtype).smallest_normal / 8  # denormal
    kinds = {
        "ordinary": 2 * torch.randn_like(like),
        "zero": 0 * sign,
        "tiny": tiny,
        "large": 20 * torch.randn_like(like),
    }
    kinds |= {"extreme": EXTREME * sign}
    if domain:
        low, high = domain
        kinds = {kind: (low + (high - low) * values.sigmoid()).clamp(low, high) for kind, values in kinds.items()}
        kinds |= {"low": torch.full_like(like, low), "next to low": low + tiny.abs()}
    return kinds | {"constant": torch.full_like(like, 0.7)}


def solved(module: FlowModule) -> bool:
    """Whether a differential equation is in it."""
    return any(isinstance(part, ContinuousFlow) for part in module.modules())


LAYOUTS = {
    "contiguous": lambda x: x,
    "every other number": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "batch innermost": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x,
    "one example repeated": lambda x: x[:1].expand_as(x),
}


class Case(NamedTuple):
    module: FlowModule
    exact: FlowModule  # in float64
    direction: str
    x: Tensor  # what the direction is given

    def run(self, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return getattr(self.module, self.direction)(self.x if x is None else x)

    def back(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return getattr(self.module, OTHER[self.direction])(y)


@st.composite
def cases(draw, name: str, fewest: int = 0) -> Case:
    dtype, seed, scale = draw(DTYPES), draw(st.integers(0, 2)), draw(st.sampled_from([0.1, 1.0]))
    module, exact = subject(name, dtype, seed, scale), subject(name, torch.float64, seed, scale)
    direction = draw(DIRECTIONS)
    shape, domain = taken(name, direction)
    with seeded(draw(SEEDS)):
        kinds = palette(torch.empty(draw(st.integers(fewest, 4)), *shape, dtype=dtype), domain)
        chosen = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=3, unique=True))
        values = torch.stack([kinds[kind] for kind in chosen])
        x = values.gather(0, torch.randint(len(chosen), (1, *values.shape[1:])))[0]
    return Case(module, exact, direction, LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](x))


class Uncertainty(NamedTuple):
    """What rounding may do, (batch, D), (batch, D) and (batch,)."""

    image: Tensor  # to what a direction returns
    again: Tensor  # to the input after a round trip
    logdet: Tensor


def uncertainty(case: Case) -> Uncertainty:
    """Bounds from the map's own condition, found in float64.

    Either direction is taken to be as good as rounding its input and its output, or, where it solves the other one, the
    input and output of that. With J the Jacobian, errors of the one become those of the other by |J| and by |J⁻¹|.
    """
    unit = STEPS * TOLERANCE if solved(case.module) else torch.finfo(case.x.dtype).eps
    with torch.enable_grad():
        x = case.x.double().clone().requires_grad_()
        y, logdet = getattr(case.exact, case.direction)(x)
        jacobian = torch.stack([gradient(part, x) for part in y.flatten(1).sum(0)], 1)
        slope = gradient(logdet.sum(), x).abs()
    inverse = torch.linalg.inv_ex(jacobian)[0].abs().nan_to_num(math.inf, math.inf)
    forth = jacobian.abs()
    x, y = x.detach().flatten(1).abs(), y.detach().flatten(1).abs()

    def through(matrix: Tensor, vector: Tensor) -> Tensor:
        return (matrix @ vector[..., None])[..., 0].nan_to_num(math.inf)

    image = through(forth, x) + y + 1
    data = through(inverse, y) + x + 1
    image, data = image + through(forth, data), data + through(inverse, image)
    again = data + through(inverse, image)
    sums = x.shape[1] + logdet.detach().abs() + (slope * again).nan_to_num(math.inf).sum(1)
    return Uncertainty(*(OPERATIONS * unit * bound for bound in (image, again, sums)))


def gradient(value: Tensor, x: Tensor) -> Tensor:
    """Of a scalar, (batch, D); zero where it does not depend on x."""
    if not value.requires_grad:
        return torch.zeros(len(x), math.prod(x.shape[1:]), dtype=x.dtype)
    (found,) = torch.autograd.grad(value, x, retain_graph=True, materialize_grads=True)
    return found.reshape(len(x), math.prod(x.shape[1:]))


def near(found: Tensor, expected: Tensor, bound: Tensor) -> bool:
    """Whether all differ by no more than the bound; what no digit is certain of may saturate instead, and show it."""
    found, expected = (values.double().reshape(bound.shape) for values in (found, expected))
    saturated = ~found.isfinite() & (bound >= expected.abs())
    return bool((saturated | ((found - expected).abs() <= bound)).all())


@SHARE
@EACH
@given(data=st.data())
@torch.no_grad()
def test_any_numbers_in_any_layout(name, data, survived):
    assert_mapped(name, data.draw(cases(name)))
    survived("inputs")


@EACH
@pytest.mark.parametrize("direction", OTHER)
@pytest.mark.parametrize("n", [0, 1])
@torch.no_grad()
def test_numbers_of_one_extreme_kind_in_few_examples(name, direction, n):
    module = subject(name, torch.float32, 0, 1.0)
    shape, domain = taken(name, direction)
    with seeded(0):
        kinds = palette(torch.empty(n, *shape), domain)
    for x in kinds.values():
        assert_mapped(name, Case(module, module, direction, x))


def assert_mapped(name: str, case: Case) -> None:
    before = case.x.clone()
    y, logdet = case.run()
    assert torch.equal(case.x, before)
    assert y.shape == (len(case.x), *taken(name, OTHER[case.direction])[0])
    assert logdet.shape == (len(case.x),)
    assert y.dtype == logdet.dtype == case.x.dtype
    assert y.device == logdet.device == case.x.device
    assert y.isfinite().all()
    assert logdet.isfinite().all()


@SHARE
@EACH
@given(data=st.data())
@torch.no_grad()
def test_round_trips(name, data, survived):
    case = data.draw(cases(name, fewest=1))
    y, logdet = case.run()
    again, logdet_back = case.back(y)
    bounds = uncertainty(case)
    assert again.shape == case.x.shape
    assert near(again, case.x, bounds.again)
    assert near(logdet_back, -logdet, bounds.logdet)
    survived("inputs")


@SHARE
@EACH
@given(data=st.data())
@torch.no_grad()
def test_an_example_is_mapped_as_it_would_be_alone(name, data, survived):
    case = data.draw(cases(name, fewest=2))
    y, logdet = case.run()
    bounds = uncertainty(case)
    for i in range(len(case.x)):
        alone, logdet_alone = case.run(case.x[i : i + 1])
        assert near(alone, y[i : i + 1], bounds.image[i : i + 1])
        assert near(logdet_alone, logdet[i : i + 1], bounds.logdet[i : i + 1])
    survived("inputs")


@SHARE
@EACH
@given(data=st.data(), broken=st.sampled_from([math.nan, math.inf, -math.inf]))
@torch.no_grad()
def test_a_broken_example_spoils_no_other(name, data, broken, survived):
    case = data.draw(cases(name, fewest=2))
    x = case.x.clone()
    y, logdet = case.run(x)
    x = x.clone()  # laid out alike, since that decides on the last digit
    x[-1] = broken
    if solved(case.module):
        with pytest.raises(SolverError, match="not finite"):
            case.run(x)
    else:
        y_others, logdet_others = case.run(x)
        assert torch.equal(y_others[:-1], y[:-1])
        assert torch.equal(logdet_others[:-1], logdet[:-1])
    survived("inputs")


@st.composite
def other_shapes(draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Not ``shape``: one of another number of axes, or with another size of some."""
    sizes = st.integers(1, 4)
    resized = st.tuples(*(st.just(size) | sizes for size in shape))
    place = draw(st.integers(0, len(shape)))
    others = [
        resized,
        sizes.map(lambda size: (*shape[:place], size, *shape[place:])),
        st.just((*shape[:place], *shape[place + 1 :])),
        st.lists(sizes, max_size=4).map(tuple),
    ]
    return draw(st.one_of(others).filter(lambda other: other != shape))


@SHARE
@EACH
@given(data=st.data(), direction=DIRECTIONS, n=st.integers(0, 3), seed=SEEDS)
def test_other_shapes_are_refused_or_mapped_rightly(name, data, direction, n, seed, survived):
    module = subject(name, torch.float64, 0, 0.1)
    shape = data.draw(other_shapes(LAYERS[name][1] if direction == "encode" else latent_shape(name)))
    with seeded(seed):
        x = torch.rand(n, *shape, dtype=torch.float64).requires_grad_()
    case = Case(module, module, direction, x)
    try:
        y, logdet = case.run()
        again, logdet_back = case.back(y)
    except REFUSALS:
        pass
    else:
        assert logdet.shape == logdet_back.shape == (n,)
        assert y.numel() == x.numel()
        close = {"atol": 100 * TOLERANCE if solved(module) else 1e-8, "rtol": 0}
        torch.testing.assert_close(again, x, **close)
        jacobian = torch.stack([gradient(part, x) for part in y.reshape(n, math.prod(shape)).sum(0)], 1)
        expected = torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(logdet, expected, **close)
        torch.testing.assert_close(logdet_back, -expected, **close)
    survived("inputs")


@SHARE
@EACH
@given(
    data=st.data(),
    direction=DIRECTIONS,
    n=st.integers(0, 3),
    dtype=st.sampled_from([torch.int64, torch.int32, torch.uint8, torch.bool]),
    seed=SEEDS,
)
@torch.no_grad()
def test_whole_numbers_are_refused_or_mapped_as_the_floats_that_they_are(
    name, data, direction, n, dtype, seed, survived
):
    module, shape = subject(name, torch.float32, 0, 0.1), LAYERS[name][1]
    with seeded(seed):
        x = torch.randint(2, (n, *(shape if direction == "encode" else latent_shape(name)))).to(dtype)
    try:
        y, logdet = getattr(module, direction)(x)
    except REFUSALS:
        pass
    else:
        y_of_floats, logdet_of_floats = getattr(module, direction)(x.float())
        assert logdet.dtype == torch.float32
        torch.testing.assert_close(y.float(), y_of_floats)
        torch.testing.assert_close(logdet, logdet_of_floats)
    survived("inputs")
