"""Reads an export. What this imports must be there wherever one is loaded."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated, Any

from flowbench import flows
from flowbench.config import ConfigError, PositiveFloat, PositiveInt, Within, known
from flowbench.config.options import fault
from flowbench.core import Event, Generator, Mixture
from flowbench.records.errors import RecordError

FLOW, WEIGHTS, CARD = "flow.json", "flow.safetensors", "README.md"
# What an event on record may be.
_EVENT: dict[str, Any] = {
    "shape": Annotated[list[PositiveInt], Within(min_length=1)],
    "levels": PositiveInt | None,
    "standardise": bool,
    "start": dict | None,
    "classes": PositiveInt | None,
}
_START: dict[str, Any] = {"centres": Annotated[list[list[float]], Within(min_length=1)], "std": PositiveFloat}
# Raised by one whenever older exports can no longer be read.
FORMAT = 2


def digest(facts: dict[str, Any]) -> str:
    """SHA-256 of all that a ``flow.json`` says beside its own digest."""
    own = {key: fact for key, fact in facts.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def read(folder: Path, seed: int | None = None) -> Generator:
    """The model of an export, whose files must be those that were written.

    Raises:
        RecordError: a file is missing, of another format, damaged or altered.
        ConfigError: it is of another seed; or its flow is not there, or has other options by now.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = folder / FLOW
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise RecordError(
                f"{path}: is of format {facts['format']}, and this version reads {FORMAT}; export the flow again"
            )
        if facts["sha256"] != digest(facts):
            raise RecordError(f"{path}: was altered after it was written; export the flow again")
        own, event, wanted = facts["seed"], _event(facts["event"]), facts["weights"]["sha256"]
        name, options = facts["flow"], facts["options"]
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise RecordError(f"{path}: is damaged ({reason}); export the flow again") from None
    if seed not in (None, own):
        raise ConfigError(f"{folder}: holds seed {own} alone, and not {seed}")
    try:
        content = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise RecordError(f"{folder / WEIGHTS}: cannot be read ({error.strerror}); export the flow again") from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise RecordError(f"{folder / WEIGHTS}: is not what {FLOW} was written with; export the flow again")
    try:
        known(str(name), flows.names(), f"{path}: flow", "flow")
    except ConfigError as error:
        raise ConfigError(f"{error} (the flow of a plug-in loads only where the plug-in is installed)") from None
    model = flows.rebuild(name, event, options, str(path))
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RecordError(f"{folder}: weights and {FLOW} do not fit together ({reason:.200})") from None
    return model


def _event(facts: dict[str, Any]) -> Event:
    """The event on record; a `ValueError` if one of its facts cannot be right."""
    for name, kind in _EVENT.items():
        if reason := fault(facts.get(name), kind):
            raise ValueError(f"event.{name} = {facts.get(name)!r}: {reason}")
    shape, start = tuple(facts["shape"]), None
    if facts["start"] is not None:
        for name, kind in _START.items():
            if reason := fault(facts["start"][name], kind):
                raise ValueError(f"event.start.{name} = {facts['start'][name]!r}: {reason}")
        centres = tuple(map(tuple, facts["start"]["centres"]))
        if {len(centre) for centre in centres} != {math.prod(shape)}:
            raise ValueError(
                f"event.start.centres = {facts['start']['centres']}: each must have {math.prod(shape)} values"
            )
        start = Mixture(centres, facts["start"]["std"])
    return Event(shape, facts["levels"], facts["standardise"], start, facts.get("classes"))
