"""Values checked against types: sections of a configuration, and the options of a function."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
    create_model,
)

from flowbench.config.errors import ConfigError, known
from flowbench.config.sources import file_of


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


def check_options(function: Callable, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` for the keyword-only parameters of ``function``, its defaults filled in.

    The annotations say what is right, as in `Section`. Positional parameters are no options: the caller gives them.

    Raises:
        ConfigError: for the first mistake. It names the key below ``where``, or the file of ``function`` if an option
            has no usable type.
    """
    fields: dict[str, Any] = {
        name: _option(function, name, parameter) for name, parameter in _keywords(function).items()
    }
    return dict(parse(create_model("Options", __base__=Section, **fields), options, where))


def _keywords(function: Callable) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of ``function``, their annotations evaluated."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except Exception as error:  # an annotation is an expression, which may raise anything
        name = function.__name__
        raise ConfigError(
            f"{file_of(function)}: a type of an option of {name}() cannot be evaluated: {error}"
        ) from None
    return {name: parameter for name, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}


def _option(function: Callable, name: str, parameter: inspect.Parameter) -> tuple[Any, Any]:
    """The type and the default of an option; a `ConfigError` if it has no type, or one that no YAML can hold."""
    option = f"{file_of(function)}: the option {name!r} of {function.__name__}()"
    if parameter.annotation is parameter.empty:
        raise ConfigError(f"{option} needs a type, such as {name}: int")
    try:
        TypeAdapter(parameter.annotation)
    except PydanticSchemaGenerationError:
        raise ConfigError(f"{option} has a type that no YAML can hold: {parameter.annotation}") from None
    return parameter.annotation, ... if parameter.default is parameter.empty else parameter.default


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
