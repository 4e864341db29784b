"""The benchmarked models, one per file. A file's name is the flow's name in ``params.yaml``, cells and reports.

Each file has one public function ``build(event, *, ...)``, whose keyword arguments are the hyperparameters that
``params.yaml`` gives under ``flows.<name>.<configuration>``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known
from flowbench.core import Event, FlowModel, Generator


def names() -> list[str]:
    """All flows and baselines, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def build(name: str, event: Event, options: dict[str, Any], where: str = "") -> Generator:
    """A fresh model of the flow ``name`` for ``event``; parameters are drawn from torch's global random state.

    Args:
        where: the key of ``options`` in ``params.yaml``, for messages.

    Raises:
        ConfigError: there is no such flow; an option is unknown, missing or of the wrong type; or the flow cannot take
            such events.
    """
    function = _function(name)
    where = where or f"flows.{name}"
    options = check_options(function, options, where)
    try:
        model = function(event, **options)
    except ValueError as error:
        raise ConfigError(f"{PARAMS}: {where} = {options}: for events of shape {event.shape}: {error}") from None
    model.event_shape = event.shape
    # A density over whole numbers could grow without bound.
    if event.levels and isinstance(model, FlowModel) and not model.dequantise:
        raise TypeError(f"flowbench/flows/{name}.py: builds a model without dequantisation for integer data")
    return model


def check(name: str, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` with the defaults filled in; a `ConfigError` if they are not hyperparameters of the flow ``name``."""
    return check_options(_function(name), options, where)


def _function(name: str) -> Callable[..., Generator]:
    return importlib.import_module(f"{__name__}.{known(name, names(), 'flows', 'flow')}").build
