"""What a Python program may use: trained flows, results, and the suite's own training, certificates and metrics.

All of it is re-exported by `flowbench`, which imports this file when one of its names is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from flowbench import flows
from flowbench.config import ConfigError, known_argument
from flowbench.config.places import DEFAULT
from flowbench.core import Event, FittedModel, FlowModel, Generator, SolverError
from flowbench.export import rebuild
from flowbench.runtime.errors import ExpectedError
from flowbench.runtime.seeding import seed_for, seeded

if TYPE_CHECKING:
    import pandas as pd

Array: TypeAlias = "Tensor | np.ndarray"
# Enough training data for data-dependent initialisation.
_INITIALISATION_EXAMPLES = 50_000


class FitError(ExpectedError):
    """A training ended without a usable model; says at which step and what to change."""


@dataclass(frozen=True)
class Certificate:
    """What a map's inverse and log-determinants were found to be worth, in float64.

    Attributes:
        round_trip_error: the largest of ``|x - decode(encode(x))|`` and ``|z - encode(decode(z))|``.
        logdet_error: the largest difference of a log-determinant to autograd's, in nats.
        faults: what is wrong, a sentence each; empty if the map is a bijection with the log-determinants it claims.
    """

    round_trip_error: float
    logdet_error: float
    faults: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


def load(
    cell: str | os.PathLike[str], *, suite: str = DEFAULT, seed: int | None = None, device: str = "cpu"
) -> Generator:
    """A trained flow, ready to score and to sample.

    Example:
        >>> flow = flowbench.load("moons-glow")  # doctest: +SKIP
        >>> flow.log_prob(flow.sample(5)).shape  # doctest: +SKIP
        torch.Size([5])

    Args:
        cell: the name of a cell whose results are below the working directory, or a folder that `flowbench export`
            wrote.
        suite: of the cell; an export needs none.
        seed: which of the cell's trainings; the one that validated best if left out.
        device: such as ``cuda``.

    Returns:
        The model in evaluation mode, without gradients for its parameters. A `FlowModel` has ``log_prob(x)`` in nats
        and ``sample(n)``; a `Generator` can only be sampled.

    Raises:
        RecordError: a file is missing, of another format or damaged.
        ConfigError: there is no such cell, or it has no such seed.
    """
    folder = Path(cell)
    if not folder.is_dir():
        folder = Path("results", suite, str(cell))
        if not folder.is_dir():
            there = [path.name for path in sorted(folder.parent.glob("*")) if path.is_dir()]
            if not there:
                raise ConfigError(f"{folder.parent}: there are no results here; make them with `dvc repro`")
            known_argument(str(cell), there, f"cell in {folder.parent}")
    return rebuild(folder, seed).to(device)


def results(suite: str = DEFAULT) -> pd.DataFrame:
    """Every number of a suite's report, one row each.

    Args:
        suite: its name; the report below the working directory is read.

    Returns:
        Columns ``suite``, ``cell``, ``data``, ``flow``, ``seed``, ``metric``, ``value``, ``unit``, ``n`` (examples or
        samples that the value is over) and ``device``.

    Raises:
        ConfigError: there is no such report here.
    """
    import pandas as pd

    path = Path("reports", suite, "results.csv")
    if not path.is_file():
        there = [found.parent.name for found in sorted(path.parents[1].glob("*/results.csv"))]
        if not there:
            raise ConfigError(f"{path.parents[1]}: there are no reports here; make one with `dvc repro`")
        known_argument(suite, there, "report")
    return pd.read_csv(path).rename(columns={"dataset": "data"})


def build(
    flow: str,
    *,
    dims: int | None = None,
    shape: Sequence[int] | None = None,
    levels: int | None = None,
    standardise: bool = True,
    classes: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Generator:
    """A fresh flow.

    Example:
        >>> flow = flowbench.build("maf", dims=6, layers=5, hidden=[64, 64])
        >>> flow.sample(3).shape
        torch.Size([3, 6])

    Args:
        flow: its name, such as ``realnvp``; `flowbench list` shows all.
        dims: of vectors; the same as ``shape=(dims,)``.
        shape: of one example, such as ``(3, 32, 32)``.
        levels: grey levels of integer data, which is dequantised; ``None`` for continuous data.
        standardise: shift and scale each feature of vectors to mean zero and variance one, by the training data.
        classes: number of classes that the labels name, for ``condition="label"``.
        seed: of the initial parameters.
        options: the flow's hyperparameters, as ``params.yaml`` has them.

    Raises:
        ConfigError: there is no such flow, an option is wrong, or the flow does not take such data.
    """
    where = f"flowbench.build({flow!r})"
    if (dims is None) == (shape is None):
        raise ConfigError(f"{where}: say dims, such as dims=6, or shape, such as shape=(3, 32, 32)")
    shape = tuple(shape) if shape is not None else (int(dims or 0),)
    event = Event(shape, levels=levels, standardise=standardise, classes=classes)
    if not event.shape or min(event.shape) < 1:
        raise ConfigError(f"{where}: an example must have at least one number, got the shape {event.shape}")
    known_argument(flow, flows.names(), "flow")
    with seeded(seed):
        return flows.build(flow, event, options, where)


def fit(
    flow: Generator,
    x_train: Array,
    x_validation: Array,
    *,
    steps: int = 2000,
    batch_size: int = 256,
    seed: int = 0,
    **budget: Any,
) -> pd.DataFrame:
    """Train a flow as the suite does: Adam, the weights that validate best, and a progress bar.

    Baselines are fitted in their own way and take no steps.

    Args:
        flow: trained in place; it ends with its best weights, in evaluation mode.
        x_train, x_validation: ``(n, *event)``, tensors or arrays of NumPy's. A flow with ``condition="label"`` takes
            rows ``(n, D + 1)``: a flattened example and its label, a whole number from 0.
        steps: optimiser steps.
        batch_size: examples a step.
        seed: of the order of the batches and of all other random numbers.
        budget: more of what a budget in ``params.yaml`` may say, such as ``learning_rate=1e-3`` or ``clip_norm=1.0``.

    Returns:
        The losses: ``step``, ``loss`` (mean since the row before), ``validation_loss`` and ``learning_rate``.

    Raises:
        ConfigError: an option is wrong, or there is no data.
        FitError: a loss is not finite, or an equation has no solution.
        LabelError: a label names no class, or one of which there is no training example.
    """
    import pandas as pd

    from flowbench.config import TrainBudget, parse
    from flowbench.records.training import HistoryRow
    from flowbench.training.batches import INITIALISATION_EXAMPLES, Batches
    from flowbench.training.loop import train
    from flowbench.training.objectives import DataLoss

    wanted: TrainBudget = parse(TrainBudget, {"steps": steps, "batch_size": batch_size} | budget, "flowbench.fit")
    device = _device(flow)
    x_train, x_validation = (
        _checked(flow.training_events(x), flow, name)
        for x, name in ((x_train, "x_train"), (x_validation, "x_validation"))
    )
    if min(wanted.batch_size, len(x_train)) < flow.least_batch:
        raise ConfigError(f"flowbench.fit: batch_size: this flow needs batches of at least {flow.least_batch} examples")
    flow.train()
    with seeded(seed):
        if isinstance(flow, FittedModel):
            flow.prepare()
            flow.fit(x_train, x_validation)
            flow.eval()
            return pd.DataFrame(columns=HistoryRow._fields)
        flow.initialise(x_train[:INITIALISATION_EXAMPLES])
        objective = DataLoss(
            flow,
            Batches(x_train, wanted.batch_size, device, horizontal_flips=wanted.horizontal_flips),
            x_validation[: wanted.validation_examples],
            seed_for("fit", seed, "validation"),
            compile=wanted.compile,
        )
        outcome = train(flow, objective, wanted, title=type(flow).__name__)
    if outcome.status == "diverged":
        raise FitError(
            f"flowbench.fit: diverged at step {outcome.diverged_at:,}; try a smaller learning_rate or clip_norm=1.0"
        )
    if outcome.status == "failed":
        raise FitError(f"flowbench.fit: failed: {outcome.reason}")
    flow.load_state_dict(outcome.weights)
    flow.eval()
    return pd.DataFrame(outcome.history, columns=HistoryRow._fields)


def certify(flow: Generator, x: Array | None = None, *, points: int = 8, seed: int = 0) -> Certificate:
    """Check a flow's inverse and log-determinants against autograd, at its own parameters and in float64.

    Args:
        flow: any but a baseline, which has no map.
        x: examples ``(n, *event)`` to check at, the first ``points``; the flow's own samples if left out.
        points: how many; each costs D backward passes.
        seed: of the samples.

    Raises:
        ConfigError: the flow is a baseline.
        SolverError: an equation has no solution.
    """
    from flowbench import certificates

    if isinstance(flow, FittedModel):
        raise ConfigError("flowbench.certify: a baseline has no map whose inverse could be checked")
    with torch.no_grad(), seeded(seed):
        x = flow.sample(points) if x is None else _examples(flow, x, "x")[:points]
        check = certificates.certify_at(flow, x)
    return Certificate(check.round_trip_error, check.logdet_error, tuple(certificates.faults(check)))


def score(
    flow: Generator, x_test: Array, *, unit: Array | None = None, seed: int = 0, **budget: Any
) -> dict[str, float]:
    """Measure a flow as the suite does.

    Args:
        flow: trained, in evaluation mode.
        x_test: ``(n, *event)``, which training has not seen.
        unit: in which errors and distances of each feature are counted, of the shape of an event; 1 if left out. Of a
            table, a suite takes the standard deviations of the training split, ``x_train.std(0)``.
        seed: of the samples and of the dequantisation noise.
        budget: what ``evaluate`` in a budget of ``params.yaml`` may say, such as ``samples=1000``.

    Returns:
        Metrics by name, as `flowbench.metrics.METRICS` explains them: bits per dim, distances of samples to the test
        data, round trips and log-determinants. A metric that does not apply, or whose equation has no solution, is
        left out.

    Raises:
        ConfigError: an option is wrong, a unit is not positive, or there is no data.
    """
    from flowbench.config import EvaluateBudget, parse
    from flowbench.evaluation.invertibility import invertibility
    from flowbench.evaluation.likelihood import likelihood, negative_log_likelihoods
    from flowbench.evaluation.logdet import logdet
    from flowbench.evaluation.subject import generate
    from flowbench.evaluation.two_sample import two_sample

    wanted: EvaluateBudget = parse(EvaluateBudget, budget, "flowbench.score")
    test = _examples(flow, x_test, "x_test")[: wanted.test_examples]
    units = _unit(unit, test)
    values: dict[str, float] = {}

    def density() -> Mapping[str, float]:
        if not isinstance(flow, FlowModel):
            return {}
        nats = negative_log_likelihoods(flow, test, wanted.noise_draws, wanted.batch_size)
        return likelihood(nats, test[0].numel())

    def round_trips() -> Mapping[str, float]:
        points = wanted.invertibility_points
        return {} if isinstance(flow, FittedModel) else invertibility(flow, test, points, wanted.batch_size, units)

    def logdets() -> Mapping[str, float]:
        points = min(wanted.logdet_points, len(test))
        return logdet(flow, test, points) if points and not isinstance(flow, FittedModel) else {}

    def distances() -> Mapping[str, float]:
        latents = flow.prior().sample((min(wanted.samples, len(test)),))
        return two_sample(generate(flow, latents, wanted.batch_size), test, units)

    for family in (density, round_trips, logdets, distances):
        try:
            with torch.no_grad(), seeded(seed_for("score", family.__name__, seed)):
                values |= family()
        except SolverError:
            continue
    return values


def _examples(flow: Generator, x: Array, name: str) -> Tensor:
    """Data on the flow's device; a `ConfigError` if there is none or some of it is not finite."""
    return _checked(flow.events(x), flow, name)


def _checked(x: Tensor, flow: Generator, name: str) -> Tensor:
    x = x.to(_device(flow))
    if not len(x):
        raise ConfigError(f"{name}: holds no example")
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise ConfigError(f"{name}: holds values that are not finite")
    return x


def _unit(unit: Array | None, x: Tensor) -> Tensor | float:
    """What each feature of data ``(n, *event)`` is counted in; a `ConfigError` if that is no unit."""
    if unit is None:
        return 1.0
    found = torch.as_tensor(unit, dtype=torch.float32, device=x.device)
    if found.shape != x.shape[1:]:
        raise ConfigError(f"unit: expected the shape of an event, {tuple(x.shape[1:])}, got {tuple(found.shape)}")
    if not bool(((found > 0) & found.isfinite()).all()):
        raise ConfigError("unit: must be positive and finite; leave out a feature that is constant")
    return found


def _device(flow: Generator) -> torch.device:
    return next((tensor.device for tensor in (*flow.parameters(), *flow.buffers())), torch.device("cpu"))
