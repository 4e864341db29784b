"""Round trips and log-determinants of layers and flows, at random parameters."""

import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from flowbench import flows, layers
from flowbench.certificates.contract import ContractError, watch
from flowbench.certificates.registration import require_registered
from flowbench.config import PARAMS, ConfigError, Params
from flowbench.config.sources import explain
from flowbench.core import Check, Event, FittedModel, FlowModule, Generator
from flowbench.runtime.seeding import seeded

# What float64 must reach: a planar map that is solved numerically loses some digits of the solution.
LARGEST_ROUND_TRIP_ERROR = 1e-8
LARGEST_LOGDET_ERROR = 1e-8
# Before training, an equation is solved to fewer digits, which takes a hundredth of the time; real mistakes are larger.
_QUICK_TOLERANCE = 1e-4
_QUICK_FACTOR = 1e6
# Larger events are made smaller, since a check computes the Jacobian of each.
_LARGEST_DIMS = 64
# Each configuration is checked on those of these that it accepts.
_EVENTS = {"vectors": Event((2,), classes=3), "images": Event((1, 8, 8), levels=17, classes=3)}

Subject = tuple[str, FlowModule | ConfigError, tuple[int, ...]]


def randomised(module: nn.Module, seed: int = 0, scale: float = 0.1) -> nn.Module:
    """A copy of ``module`` with noise added to every parameter; the noise of a weight is smaller in a wide network.

    Layers start as the identity, and there a wrong log-determinant looks right.
    """
    module = copy.deepcopy(module)
    with seeded(seed), torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            parameter.add_(scale * fan_in**-0.5 * torch.randn_like(parameter))
    return module


def events(module: FlowModule, shape: tuple[int, ...], n: int, seed: int) -> Tensor:
    """Random events ``(n, *shape)``: of both signs, or well inside the module's domain if it has one."""
    with seeded(seed):
        if module.domain is None:
            return 2 * torch.randn(n, *shape)
        low, high = module.domain
        return low + (high - low) * (0.1 + 0.8 * torch.rand(n, *shape))


def certify(module: FlowModule, shape: tuple[int, ...], *, points: int = 8, seed: int = 0) -> Check:
    """`FlowModule.check` of a randomised copy of ``module`` at random events of ``shape``.

    If the map raises an error or breaks the contract of `FlowModule`, all errors are infinite and `Check.reason` says
    why.
    """
    try:
        x = events(module, shape, points, seed + 1).double()
        watched = watch(randomised(module, seed))
        # Moments of the data are not parameters, and must not stay those of the identity either.
        watched.initialise(x.float())
        return watched.check(x)
    except Exception as error:
        return _impossible(error)


def certify_at(model: Generator, x: Tensor) -> Check:
    """`FlowModule.check` of the map of ``model`` as it is, at data ``(n, *event)``.

    A differential equation is solved to many digits. As for `certify`, what the map does wrong is in `Check.reason`.
    """
    model = copy.deepcopy(model).eval()
    _solve_exactly(model)
    try:
        with torch.no_grad():
            x, _ = model.transform_input(x)
        with torch.enable_grad():
            return watch(model.transform).check(x)
    except Exception as error:
        return _impossible(error)


def _impossible(error: Exception) -> Check:
    return Check.impossible(str(error) if isinstance(error, ContractError) else explain(error))


def passes(check: Check) -> bool:
    """Whether a check in float64 found only rounding errors."""
    return not faults(check)


def faults(check: Check, factor: float = 1.0) -> list[str]:
    """What is wrong with a map, one sentence for each fault; errors up to ``factor`` times the limits are tolerated."""
    if check.reason:
        return [check.reason]
    largest_round_trip, largest_logdet = factor * LARGEST_ROUND_TRIP_ERROR, factor * LARGEST_LOGDET_ERROR
    found = [
        f"{order}: the largest error is {error:.1e}"
        for order, error in (
            ("decode(encode(x)) should be x", check.data_error),
            ("encode(decode(z)) should be z", check.latent_error),
        )
        if not error < largest_round_trip
    ]
    for direction, error, at in (
        ("encode", check.logdet_encode_error, check.encode_logdet),
        ("decode", check.logdet_decode_error, check.decode_logdet),
    ):
        if not error < largest_logdet:
            values = f"expected {at.expected:.9g} (autograd), found {at.found:.9g}" if at else f"is off by {error:.1e}"
            found.append(f"{direction}'s log-determinant: {values}")
    # A wrong summand makes the sum wrong, and so does a wrong inverse.
    if not found and not check.logdet_sum_error < largest_logdet:
        found.append(
            "the log-determinants of encode and decode should add up to 0: the largest error is "
            f"{check.logdet_sum_error:.1e}"
        )
    return found


def identity(module: FlowModule, shape: tuple[int, ...]) -> tuple:
    """A key that two maps share only if they are the same to the last bit: in miniature, many configurations are."""
    settings = [
        {key: value for key, value in vars(part).items() if isinstance(value, bool | int | float | str | tuple)}
        for part in module.modules()
    ]
    tensors = tuple((key, tensor.numpy().tobytes()) for key, tensor in module.state_dict().items())
    return str(module), shape, str(settings), tensors


def in_miniature(event: Event, options: dict[str, Any]) -> tuple[Event, dict[str, Any]]:
    """An event and hyperparameters of the same kind, so small that autograd can compute the Jacobian quickly."""
    if event.dims <= _LARGEST_DIMS:
        return event, options
    if len(event.shape) == 1:
        return replace(event, shape=(_LARGEST_DIMS,)), _small(options)
    if options.get("multipliers"):
        return replace(event, shape=(1, 2, 2)), _small(options)  # a solver evaluates the network a thousand times
    return replace(event, shape=(event.shape[0], 8, 8)), _small(options)


def _small(options: dict[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a smaller model of the same kind."""
    most = {"steps": 2, "layers": 3, "latent": 16}
    options = {name: min(value, most[name]) if name in most else value for name, value in options.items()}
    if options.get("hidden"):
        options["hidden"] = [min(size, 16) for size in options["hidden"][:2]]
    if options.get("multipliers"):
        options |= {"channels": 4, "multipliers": options["multipliers"][:2], "blocks": 1, "attention": None}
    return options


def subjects(params: Params, name: str | None = None) -> Iterator[Subject]:
    """What there is to certify, as (name, module, event shape); equations are solved to many digits.

    Where a layer or a model cannot be made, a `ConfigError` that says why stands in the place of the module. Baselines
    are left out.

    Args:
        name: only the layer and the flow of this name; else every layer and every flow.
    """
    for layer in layers.names():
        if name in (None, layer):
            yield from _layer_subjects(layer)
    for flow in sorted({*params.flows, *flows.names()}):
        if name in (None, flow):
            for configuration, options in params.flows.get(flow, {}).items():
                yield from _flow_subjects(flow, configuration, options)
            if not params.flows.get(flow):
                where = f"{PARAMS}: flows.{flow}"
                try:
                    flows.check(flow, {}, where)
                except ConfigError as error:  # the file's own mistake explains more
                    yield flow, error, ()
                else:
                    yield flow, ConfigError(f"{where}: needs a configuration"), ()


def require_sound(flow: str, event: Event, options: dict[str, Any], where: str) -> None:
    """Refuse to train a flow whose map is wrong, as ``flowbench check`` would; baselines have no map to check.

    The model is built in miniature, for events of the same kind. The check uses autograd, so it must run in the process
    that trains and not in one that forks others.

    Args:
        where: the file and the key that hold ``options``, for messages.

    Raises:
        ConfigError: the model cannot be built, its map does not pass, or some of its tensors are not registered.
    """
    event, options = in_miniature(event, _small(flows.check(flow, options, where)))
    model, event = _model(flow, event, options, where)
    if isinstance(model, FittedModel):
        return
    solved = [part for part in model.transform.modules() if hasattr(part, "tolerance")]
    for part in solved:
        part.tolerance = _QUICK_TOLERANCE
    check = certify(model.transform, _input_shape(model, event, where), points=2)
    if found := faults(check, _QUICK_FACTOR if solved else 1.0):
        raise ConfigError(f"{where}: the map is wrong: {'; '.join(found)}")


def _layer_subjects(layer: str) -> Iterator[Subject]:
    try:
        # Seeded, so that a check finds the same each time.
        with seeded(0):
            examples = layers.examples_of(layer)
    except ConfigError as error:
        yield layer, error, ()
        return
    for name, module, shape in examples:
        try:
            require_registered(module)
            yield name, module, shape
        except ConfigError as error:
            yield name, error, shape


def _flow_subjects(flow: str, configuration: str, options: dict[str, Any]) -> Iterator[Subject]:
    """A flow in one configuration, on each kind of event that it accepts."""
    name, where = f"{flow}/{configuration}", f"{PARAMS}: flows.{flow}.{configuration}"
    try:
        options = _small(flows.check(flow, options, where))
    except ConfigError as error:
        yield name, error, ()
        return
    refusals = []
    for kind, event in _EVENTS.items():
        subject = f"{name} on {kind}"
        try:
            model, event = _model(flow, event, options, where)
            if not isinstance(model, FittedModel):
                yield subject, model.transform, _input_shape(model, event, where)
        except flows.EventError as error:
            refusals.append(str(error))
        except ConfigError as error:
            yield subject, error, event.shape
    if len(refusals) == len(_EVENTS):
        yield name, ConfigError(" | ".join(refusals)), ()


def _model(flow: str, event: Event, options: dict[str, Any], where: str) -> tuple[Generator, Event]:
    """A model whose equations are solved to many digits, and the event that it was built for.

    An equation is solved for small images, since its exact divergence costs a pass for each dimension.
    """
    with seeded(0):
        model = flows.build(flow, event, options, where)
    if _solve_exactly(model) and len(event.shape) > 1 and event.dims > 4:
        return _model(flow, replace(event, shape=(1, 2, 2)), options, where)
    require_registered(model)
    return model, event


def _solve_exactly(model: nn.Module) -> bool:
    """Call ``solve_exactly`` of the files that define the parts of ``model``; whether there was one.

    It is looked up by name: an import would make the cells of all flows depend on the solver's code.
    """
    files = {type(part).__module__ for part in model.modules() if isinstance(part, FlowModule)}
    solvers = [solve for file in files if (solve := getattr(sys.modules[file], "solve_exactly", None))]
    for solve in solvers:
        solve(model)
    return bool(solvers)


def _input_shape(model: Generator, event: Event, where: str) -> tuple[int, ...]:
    """The shape of what the transform of ``model`` takes; in an autoencoder it is not that of the data."""
    try:
        with torch.no_grad(), seeded(0):
            x, _ = model.transform_input(torch.zeros(2, *event.shape))  # batch normalisation needs two examples
        return tuple(x.shape[1:])
    except Exception as error:
        raise ConfigError(f"{where}: transform_input of the model: {explain(error)}") from error
