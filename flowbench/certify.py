"""Round trips and log-determinants of layers and flows at random parameters."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from flowbench import data, flows, layers
from flowbench.config import Params
from flowbench.core import Check, Event, FittedModel, FlowModel, FlowModule, SolverError
from flowbench.layers.continuous import solve_exactly
from flowbench.runtime.seeding import seeded

# What float64 must reach: a planar map that is solved numerically loses some digits of the solution.
LARGEST_ROUND_TRIP_ERROR = 1e-8
LARGEST_LOGDET_ERROR = 1e-8
# Of an event that is certified as it is; an image has more.
_LARGEST_DIMS = 64


def randomised(module: nn.Module, seed: int = 0, scale: float = 0.1) -> nn.Module:
    """A copy of ``module`` with noise added to every parameter, of a size that a wide network bears.

    Layers start as the identity, and there a wrong log-determinant looks right.
    """
    module = copy.deepcopy(module)
    with seeded(seed), torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.add_(scale * fan_in**-0.5 * torch.randn_like(parameter))
    return module


def events(module: FlowModule, shape: tuple[int, ...], n: int, seed: int) -> Tensor:
    """Random events ``(n, *shape)`` of both signs, or well inside of the module's domain."""
    with seeded(seed):
        if module.domain is None:
            return 2 * torch.randn(n, *shape)
        low, high = module.domain
        return low + (high - low) * (0.1 + 0.8 * torch.rand(n, *shape))


def certify(module: FlowModule, shape: tuple[int, ...], *, points: int = 8, seed: int = 0) -> Check:
    """`FlowModule.check` of a randomised copy of ``module`` at random events of ``shape``.

    Where an equation within it cannot be solved, all errors are infinite.
    """
    module = randomised(module, seed)
    x = events(module, shape, points, seed + 1).double()
    # Moments of the data are no parameters, and must not stay those of the identity either.
    try:
        module.initialise(x.float())
        return module.check(x)
    except SolverError:
        return Check(*[math.inf] * len(fields(Check)))


def passes(check: Check) -> bool:
    """Whether a check in float64 found nothing but rounding."""
    return check.round_trip_error < LARGEST_ROUND_TRIP_ERROR and check.logdet_error < LARGEST_LOGDET_ERROR


def in_miniature(event: Event, options: dict[str, Any]) -> tuple[Event, dict[str, Any]]:
    """An event and hyperparameters of the same kind, of a size whose Jacobian autograd can be asked for."""
    if event.dims <= _LARGEST_DIMS:
        return event, options
    most = {"steps": 2, "layers": 3, "latent": 16}
    options = {name: min(value, most[name]) if name in most else value for name, value in options.items()}
    if "hidden" in options:
        options["hidden"] = [min(size, 16) for size in options["hidden"][:2]]
    if "multipliers" in options:
        options |= {"channels": 4, "multipliers": options["multipliers"][:2], "blocks": 1, "attention": None}
        return replace(event, shape=(1, 2, 2)), options  # of which a solver evaluates the network a thousand times
    return replace(event, shape=(event.shape[0], 8, 8)), options


def transform_shape(model: FlowModel, event: Event) -> tuple[int, ...]:
    """The shape of what the transform of ``model`` takes, of which an autoencoder has another than of its data."""
    with torch.no_grad():
        x, _ = model.transform_input(torch.zeros(2, *event.shape))  # one would be too few for batch normalisation
    return tuple(x.shape[1:])


def subjects(params: Params, flow: str | None = None) -> Iterator[tuple[str, FlowModule, tuple[int, ...]]]:
    """What there is to certify, as (name, module, event shape); what a solver solves is solved to many digits.

    Args:
        flow: only this flow's configurations; else every example of every layer, and every flow.
    """
    if flow is None:
        # Seeded, so that a check finds the same each time.
        with seeded(0):
            examples = list(layers.examples())
        yield from examples
    # Each configuration once for each shape of data that a suite uses it on.
    cells = [cell for suite in params.suites.values() for cell in suite.all_cells.values()]
    seen = set()
    for cell in sorted(cells, key=lambda cell: (cell.flow, cell.config, cell.data)):
        event = data.load(cell.data, **params.data[cell.data]).event
        if flow in (None, cell.flow) and (cell.flow, cell.config, event) not in seen:
            seen.add((cell.flow, cell.config, event))
            event, options = in_miniature(event, params.options(cell))
            with seeded(0):
                model = solve_exactly(flows.build(cell.flow, event, options))
            if not isinstance(model, FittedModel):
                yield f"{cell.flow}/{cell.config} on {cell.data}", model.transform, transform_shape(model, event)
