"""The benchmarked models, one per file. A file's name is the flow's name in ``params.yaml``, cells and reports.

Each file has one public function ``build(event, *, ...)``, whose keyword arguments are the hyperparameters that
``params.yaml`` gives under ``flows.<name>.<configuration>``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known
from flowbench.core import Event, FlowModel, Generator


def names() -> list[str]:
    """All flows and baselines, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def build(name: str, event: Event, options: dict[str, Any], where: str = "") -> Generator:
    """A fresh model of the flow ``name`` for ``event``; parameters are drawn from torch's global random state.

    Args:
        where: the file and the key that ``options`` stand under, for messages.

    Raises:
        ConfigError: there is no such flow; an option is unknown, missing or of the wrong type; or the flow cannot take
            such events.
    """
    function = _function(name)
    where = where or f"{PARAMS}: flows.{name}"
    options = check_options(function, options, where)
    try:
        model = function(event, **options)
    except ValueError as error:
        raise ConfigError(f"{where} = {options}: for events of shape {event.shape}: {error}") from None
    # A density over whole numbers could be made as high as one likes.
    if event.levels and isinstance(model, FlowModel) and not model.dequantise:
        raise TypeError(f"flowbench/flows/{name}.py: builds a model without dequantisation for integer data")
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
        raise ConfigError(
            f"{where}: teacher: is a {teacher}; " + (f"choose a {wanted}" if wanted else f"{name} has none")
        )


def _function(name: str) -> Callable[..., Generator]:
    return _module(name).build


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{known(name, names(), f'{PARAMS}: flows', 'flow')}")
