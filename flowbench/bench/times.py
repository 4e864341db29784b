"""How long flows take on this machine, and how the time of a benchmark is divided between them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any, NamedTuple

import numpy as np
import torch

from flowbench import api, flows
from flowbench.config import ConfigError
from flowbench.core import FittedModel
from flowbench.data import SPLITS, Source

# Seconds on two cores: of the pipeline's start, the data, the publication and the report, and of the two stages of a
# flow beside their work.
PIPELINE, STAGES = 30.0, 3.0
# Measuring a seed takes so many times what `flowbench.score` takes, with more metrics and a trained flow, and these
# seconds: of what is timed for as long, and of pictures.
SCORES, SPEEDS = 6.0, 1.0
LOOKS = 20  # at the validation split
# Looks that are nearer to each other find noise.
_LEAST_BETWEEN_LOOKS = 50
# With fewer steps than the second number, a flow is hardly trained.
FEWEST_STEPS, USEFUL_STEPS, MOST_STEPS = 100, 500, 50_000
_PROBED = 20  # steps by which the time of one is measured
EVALUATE = {"samples": 2000, "invertibility_points": 1000, "logdet_points": 4}


class Shares(NamedTuple):
    """Seconds of wall time that the parts of a benchmark should take: ``starting`` is all that is not the others."""

    training: float
    measuring: float
    starting: float


@dataclass(frozen=True)
class Plan:
    """How the time of a benchmark is divided.

    Attributes:
        steps: of each flow that takes steps.
        shares: of the time.
        enough: minutes in which each flow would take `USEFUL_STEPS`; 0 where it does.
    """

    steps: dict[str, int]
    shares: Shares
    enough: float = 0.0


class Probe(NamedTuple):
    """Seconds of a training step, of what a training takes beside its steps, and of measuring one seed."""

    step: float
    beside: float
    measuring: float


def divide(
    probes: Mapping[str, Probe], trains: Mapping[str, Mapping[str, Any]], seconds: float, taken: float, seeds: int
) -> tuple[dict[str, dict[str, Any]], Plan]:
    """A budget for each flow, named after it, and how the time is divided.

    The steps of all flows take equal times, and the whole ``seconds`` with what is ``taken`` already. They take more
    where the fewest steps do.

    Args:
        trains: for each flow what its training needs beside its steps.
    """
    at_once = max(1.0, seeds / len(os.sched_getaffinity(0)))  # seeds that share a core
    measuring = at_once * sum(probe.measuring for probe in probes.values())
    starting = taken + PIPELINE + STAGES * len(probes)
    fitting = at_once * sum(probe.beside for probe in probes.values())
    trained = {label: probe.step for label, probe in probes.items() if probe.step}
    share = (seconds - measuring - starting - fitting) / at_once / max(1, len(trained))
    steps = {label: max(FEWEST_STEPS, min(int(share / step), MOST_STEPS)) for label, step in trained.items()}
    budgets: dict[str, dict[str, Any]] = {}
    for label in probes:
        # In whole rows of the history.
        every = max(_LEAST_BETWEEN_LOOKS, steps.get(label, 0) // (10 * LOOKS) * 10)
        budgets[label] = {
            "train": {"steps": steps.get(label, 1), **trains[label], "validate_every": every},
            "evaluate": dict(EVALUATE),
        }
    stepping = at_once * sum(step * steps[label] for label, step in trained.items())
    useful = at_once * USEFUL_STEPS * len(trained) * max(trained.values(), default=0.0)
    few = min(steps.values(), default=USEFUL_STEPS) < USEFUL_STEPS
    enough = (measuring + starting + fitting + useful) / 60 if few else 0.0
    return budgets, Plan(steps, Shares(fitting + stepping, measuring, starting), enough)


def probe(
    flow: str,
    options: Mapping[str, Any],
    train: Mapping[str, Any],
    source: Source,
    splits: Mapping[str, np.ndarray],
    limit: float = 60.0,
) -> Probe:
    """How long a flow takes here: a few steps of it and a part of its measuring are timed, on one core.

    It is the time of the processor that counts, which is the same if something else runs on the machine.

    Args:
        train: what its training needs beside its steps.
        limit: seconds that all this should take; fewer steps are timed where one takes long.
    """
    try:
        model = flows.build(flow, source.event, dict(options), f"flow {flow}")
    except flows.EventError as error:
        raise ConfigError(f"{flow}: {error}") from None
    training, validation, test = (splits[name] for name in SPLITS)

    def fit(steps: int) -> Callable[[], object]:
        return lambda: api.fit(
            model, training, validation, **{**train, "steps": steps, "validate_every": steps, "threads": 1}
        )

    step = beside = 0.0
    with _on_one_core(), redirect_stderr(StringIO()):  # without the bars of trainings that nobody waits for
        began = time.monotonic()
        once = _seconds(fit(2))
        if isinstance(model, FittedModel):
            beside = once
        else:
            begun = time.monotonic()
            once = _seconds(fit(2))  # the first of all starts slowly
            longest = max(time.monotonic() - begun, 1e-6) / 2
            more = max(2, min(_PROBED, int((limit / 2 - (time.monotonic() - began)) / longest)))
            step = max(_seconds(fit(more + 2)) - once, 1e-6) / more
            beside = LOOKS * max(once - 2 * step, 0.0)
        scoring = _seconds(lambda: api.score(model, test, **EVALUATE))
    return Probe(step, beside, SPEEDS + SCORES * scoring)


def _seconds(run: Callable[[], object]) -> float:
    """Of the processor, in all threads of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


@contextmanager
def _on_one_core() -> Iterator[None]:
    """A block in which torch uses one thread, as each training of a suite does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
