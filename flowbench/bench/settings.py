"""What a flow of a benchmark is built and trained with, by its label: ``maf``, ``glow-mixture``, or that of a file."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from flowbench import flows
from flowbench.bench.folder import ROOT
from flowbench.config import PARAMS, ConfigError, Params, known_argument, plugins

# What training needs beside the number of its steps.
_TRAIN: dict[str, Any] = {"batch_size": 256, "learning_rate": 0.002, "clip_norm": 5.0}
_TRAINS: dict[str, dict[str, Any]] = {
    "affine": {"learning_rate": 0.02},
    "cnf": {"batch_size": 128, "learning_rate": 0.01, "validation_examples": 1000},
    "flow_matching": {"learning_rate": 0.005, "clip_norm": 0.0, "ema_decay": 0.99},
}
# The keys of a budget that follow from the minutes; the others are the user's to change.
_DIVIDED = ("steps", "validate_every")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Setting(NamedTuple):
    """What a flow is built, trained and measured with, beside what follows from the minutes.

    Attributes:
        options: its hyperparameters.
        train, evaluate: of its budget.
        changed: whether the benchmark that is there has others than new ones have.
    """

    options: dict[str, Any]
    train: dict[str, Any]
    evaluate: dict[str, Any]
    changed: bool


def setting(label: str, shared: Params, there: Mapping[str, Any]) -> Setting:
    """The setting of a flow.

    Args:
        label: its name, with the suffix of a configuration where one has several.
        shared: the parameters of the repository.
        there: the ``params.yaml`` of a benchmark that goes on; empty for a new one.

    Raises:
        ConfigError: there is no such flow or configuration, or it cannot be built without more hyperparameters.
    """
    flow, configuration = place(label)
    options, train = _options(label, shared), _TRAIN | _TRAINS.get(flow, {})
    budget = _at(there, "budgets", label)
    edited = train | {key: value for key, value in _at(budget, "train").items() if key not in _DIVIDED}
    chosen = _at(there, "flows", flow, configuration, default=options)
    return Setting(chosen, edited, _at(budget, "evaluate"), (chosen, edited) != (options, train))


def place(label: str) -> tuple[str, str]:
    """The name of a flow and that of its configuration in the benchmark."""
    flow, _, suffix = label.partition("-")
    return flow, f"table-{suffix}" if suffix else "table"


def _at(document: Mapping[str, Any], *keys: str, default: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """The mapping below some keys of a document, or the default where one of them is missing."""
    here: Any = document
    for key in keys:
        here = here.get(key) if isinstance(here, Mapping) else None
    return dict(here if isinstance(here, Mapping) else default)


def _options(label: str, shared: Params) -> dict[str, Any]:
    """The hyperparameters of a flow for tables: those of its configuration ``table`` or ``plane``, or its defaults."""
    flow, _, suffix = label.partition("-")
    known_argument(flow, flows.names(), "flow")
    configurations = shared.flows.get(flow, {})
    for base in ("table", "plane"):
        if (name := f"{base}-{suffix}" if suffix else base) in configurations:
            return configurations[name]
    if suffix or any(name.startswith("plane-") for name in configurations):
        suffixes = [name.removeprefix("plane-") for name in configurations if name.startswith("plane-")]
        known_argument(label, [f"{flow}-{one}" for one in suffixes], "configuration for tables")
    build = getattr(plugins.load(flows.__name__, flow, flows.__path__), "build", None)
    parameters = inspect.signature(build).parameters.values() if callable(build) else ()
    if lacking := [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]:
        raise ConfigError(
            f"flow {flow}: build has no default for {', '.join(lacking)}; give it one, "
            f"or write flows.{flow}.table in {PARAMS}"
        )
    return {}


@contextmanager
def found(own: Mapping[str, Path]) -> Iterator[None]:
    """A block in which files of flows of one's own are found by their names, those of the repository's among them."""
    for file in own.values():
        if not file.is_file():
            raise ConfigError(f"{file}: no such file; name a flow, or a file that holds one")
    there = {Path(folder).resolve() for folder in flows.__path__}
    of_repository = (ROOT / plugins.OWN / "flows").resolve()
    with tempfile.TemporaryDirectory() as scratch:
        added = [scratch] if of_repository in there else [scratch, str(of_repository)]
        for name, file in own.items():
            if file.resolve().parent not in (*there, of_repository):
                (Path(scratch) / f"{name}.py").symlink_to(file.absolute())
        flows.__path__.extend(added)
        try:
            yield
        finally:
            for folder in added:
                flows.__path__.remove(folder)
