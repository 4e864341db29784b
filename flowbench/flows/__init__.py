"""The benchmarked models, one per file. A file's name is the flow's name in ``params.yaml``, cells and reports.

Each file has one public function ``build(event, *, ...)``, which returns the model. Its keyword arguments are the
hyperparameters that ``params.yaml`` gives under ``flows.<name>.<configuration>``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known, plugins
from flowbench.config.options import recorded_options
from flowbench.config.sources import explain, file_of
from flowbench.core import Event, FlowModel, Generator, ShapeError
from flowbench.runtime.device import is_out_of_memory

__path__.append(plugins.own("flows"))

_WANTED = "build(event, *, ...), which returns a model such as a FlowModel"


class EventError(ConfigError):
    """A flow, in this configuration, does not take such events."""


def names() -> list[str]:
    """All flows and baselines, in alphabetical order."""
    return plugins.names(__name__, __path__)


def build(name: str, event: Event, options: dict[str, Any], where: str = "") -> Generator:
    """A fresh model of the flow ``name`` for ``event``; its parameters are drawn from torch's global random state.

    Args:
        where: the file and the key that hold ``options``, for messages.

    Raises:
        EventError: the flow cannot take such events.
        ConfigError: there is no such flow; an option is unknown, missing or of the wrong type; the file cannot be
            imported; or its ``build`` is missing, raises, or returns something that is no model.
    """
    where = where or f"{PARAMS}: flows.{name}"
    return _model(name, event, check(name, options, where), where)


def rebuild(name: str, event: Event, options: dict[str, Any], where: str) -> Generator:
    """`build` with options that `check` has returned and that JSON has kept since; needs pydantic for odd types alone.

    Raises:
        ConfigError: as `build`; or the flow has other options by now.
    """
    return _model(name, event, recorded_options(_function(name), options, where), where)


def _model(name: str, event: Event, options: dict[str, Any], where: str) -> Generator:
    """The model for options that are right."""
    function = _function(name)
    refused = f"{where} = {options}: for events of shape {event.shape}: "
    try:
        inspect.signature(function).bind(event, **options)
    except TypeError as error:
        raise ConfigError(f"{file_of(function)}: expected {_WANTED}: {error}") from None
    try:
        model = function(event, **options)
    except ConfigError:
        raise
    except ShapeError as error:
        raise EventError(f"{refused}{error}") from None
    except ValueError as error:
        raise ConfigError(f"{refused}{error}") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(
            f"{explain(error)} (in build of the flow {name} for events of shape {event.shape})"
        ) from error
    if not isinstance(model, Generator):
        raise ConfigError(f"{file_of(function)}: expected {_WANTED}; it returned {model!r:.100}")
    model.event_shape = event.shape
    # The density of whole numbers has no upper bound.
    if event.levels and isinstance(model, FlowModel) and not model.dequantise:
        raise ConfigError(f"{file_of(function)}: build makes a model without dequantisation for integer data")
    return model


def check(name: str, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` with the defaults filled in; a `ConfigError` if they are not hyperparameters of the flow ``name``."""
    return check_options(_function(name), options, where)


def check_teacher(name: str, teacher: str | None, where: str) -> None:
    """Compare what the flow ``name`` learns from with what a suite gives it: a cell of the flow ``teacher``, or none.

    A flow that learns from another cell declares the flow of that cell as ``TEACHER``.

    Raises:
        ConfigError: they differ.
    """
    wanted = getattr(_module(name), "TEACHER", None)
    if wanted and teacher is None:
        raise ConfigError(f"{where}: {name} learns from a trained {wanted}; name that cell under `teachers`")
    if wanted != teacher:
        choose = f"choose a {wanted}" if wanted else f"{name} learns from none"
        raise ConfigError(f"{where}: teacher: is a {teacher}; {choose}")


def _module(name: str) -> ModuleType:
    return plugins.load(__name__, known(name, names(), f"{PARAMS}: flows", "flow"), __path__)


def _function(name: str) -> Callable[..., Generator]:
    module = _module(name)
    if callable(function := getattr(module, "build", None)):
        return function
    own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    near = difflib.get_close_matches("build", own, n=1)
    hint = f"; it has {near[0]!r}, which must be called 'build'" if near else ""
    raise ConfigError(f"{file_of(module)}: add {_WANTED}{hint}")
