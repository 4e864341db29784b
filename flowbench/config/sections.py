"""Sections of a configuration, which pydantic checks against their types."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from flowbench.config.errors import ConfigError, known


class Section(BaseModel):
    """A mapping of a configuration: unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def parse(model: type[BaseModel], values: Any, where: str) -> Any:
    """``values`` as ``model``.

    Args:
        where: the file, and the key in it if there is one, such as ``params.yaml: budgets``.

    Raises:
        ConfigError: for the first mistake; it names its key.
    """
    try:
        # As JSON, whose types are YAML's: a strict model then takes an array for a tuple, but still no "3" for 3.
        text = json.dumps(values, default=str)
    except (TypeError, ValueError, RecursionError) as error:  # such as a list that holds itself
        raise ConfigError(f"{where}: {error}") from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] == "missing")  # a misspelt key is a missing one too
        if first["type"] == "json_invalid":  # half a character, for instance; the input would be all that there is
            raise ConfigError(f"{where}: {first['msg']}") from None
        parent = _key(where, first["loc"][:-1])
        key = _key(where, first["loc"])
        if first["type"] == "extra_forbidden":
            parent = parent if ": " in parent else f"{parent}: top level"
            known(str(first["loc"][-1]), _fields_at(model, first["loc"][:-1]), parent, "key")
        if first["type"] == "missing":
            raise ConfigError(f"{key}: is missing") from None
        raise ConfigError(f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _key(where: str, location: tuple) -> str:
    """``where`` with the keys below it: after the colon that follows a file, or after a dot."""
    below = ".".join(map(str, location))
    return f"{where}{'.' if ': ' in where else ': '}{below}" if below else where


def _fields_at(model: Any, location: tuple) -> list[str]:
    """Names of the fields of the model that lies at ``location`` within ``model``."""
    for step in location:
        field = getattr(model, "model_fields", {}).get(step)
        annotation = field.annotation if field else model
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        model = arguments[-1] if arguments else annotation
    return list(getattr(model, "model_fields", {}))
