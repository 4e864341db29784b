"""Every flow at few examples and none, at data far from what it saw, and at other shapes and types of data."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from flowbench import certificates, config, data, flows
from flowbench.config import suites
from flowbench.core import Event, FittedModel, FlowModel
from flowbench.runtime.seeding import seeded
from tests.flows.learning import learnt_from
from tests.shallow import shallow

ROOT = Path(__file__).parents[2]
PARAMS = config.load(ROOT / "params.yaml")
SUITES = [suites.load(name, PARAMS, ROOT) for name in suites.names(ROOT)]
# Each configuration on one of the data sets that it is used on.
CELLS = {f"{cell.flow}/{cell.config}": cell for suite in SUITES for cell in suite.cells.values()}


def small(name: str) -> tuple[Event, dict[str, Any]]:
    cell = CELLS[name]
    event = data.load(cell.data, **PARAMS.data[cell.data]).event
    return certificates.in_miniature(event, shallow(PARAMS.flows[cell.flow][cell.config]))


# Those that are the same in miniature once.
NAMES = {f"{CELLS[name].flow} {small(name)}": name for name in CELLS}.values()
SHARE = settings(max_examples=max(1, settings.default.max_examples // 50))
EACH = pytest.mark.parametrize("name", NAMES)
NUMBERS = st.sampled_from([0, 1, 2, 5])
_LOOSE = 1e-2
SEEDS = st.integers(0, 2**32)


@cache
def ready(name: str) -> tuple[FlowModel, Event]:
    """A small model at random parameters, those that depend on data set, or fitted; not to be changed."""
    cell = CELLS[name]
    event, options = small(name)
    with seeded(0):
        model = certificates.randomised(flows.build(cell.flow, event, options))
        if isinstance(model, FittedModel):
            model.fit(ordinary(event, 300), ordinary(event, 100))
        else:
            model.initialise(learnt_from(model, ordinary(event, 200)))
    return model.eval(), event


def ordinary(event: Event, n: int) -> Tensor:
    return torch.randint(event.levels, (n, *event.shape)) if event.levels else torch.randn(n, *event.shape)


def extreme(event: Event, n: int) -> Tensor:
    """Black and white, or numbers of ±10⁴, zeros and ones."""
    if event.levels:
        return (event.levels - 1) * torch.randint(2, (n, *event.shape))
    return torch.tensor([-1e4, 0.0, 1.0, 1e4])[torch.randint(4, (n, *event.shape))]


@SHARE
@EACH
@example(n=0, seed=0, far=True)  # which the few examples of `make test` leave out
@example(n=1, seed=0, far=True)
@given(n=NUMBERS, seed=SEEDS, far=st.booleans())
@torch.no_grad()
def test_densities_of_any_data(name, n, seed, far, survived):
    model, event = ready(name)
    # Few digits of a solution suffice to see that a density is finite.
    with seeded(seed), model.loosely(_LOOSE) if isinstance(model, FlowModel) else nullcontext():
        x = (extreme if far else ordinary)(event, n)
        before = x.clone()
        if isinstance(model, FlowModel):
            log_prob = model.log_prob(x)
            assert log_prob.shape == (n,)
            assert log_prob.dtype == torch.float32
            assert log_prob.isfinite().all()
        z, logdet = model.encode(x)
        x_continuous, again = model.reconstruct(x)
    assert torch.equal(x, before)
    assert z.shape == (n, *model.prior().event_shape)
    assert logdet.shape == (n,)
    assert again.shape == x_continuous.shape
    assert len(again) == n
    survived("inputs")


@SHARE
@EACH
@given(n=NUMBERS, seed=SEEDS, temperature=st.sampled_from([0.0, 0.7, 1.0, 3.0]))
@torch.no_grad()
def test_any_number_of_samples(name, n, seed, temperature, survived):
    model, event = ready(name)

    def draw() -> Tensor:
        return model.sample(n, torch.Generator().manual_seed(seed), temperature=temperature)

    x = draw()
    assert x.shape == (n, *event.shape)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    assert torch.equal(x, draw())
    if event.levels:
        assert torch.equal(x, x.round().clamp(0, event.levels - 1))
    survived("inputs")


@SHARE
@EACH
@given(n=NUMBERS, seed=SEEDS)
@torch.no_grad()
def test_any_number_of_samples_with_their_densities(name, n, seed, survived):
    model, event = ready(name)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model, FlowModel):
        x, log_prob = model.sample_with_log_prob(n, generator)
        assert x.shape == (n, *event.shape)
        assert log_prob.shape == (n,)
        assert x.dtype == log_prob.dtype == torch.float32
        assert log_prob.isfinite().all()
    survived("inputs")
