"""The options of a function: its keyword-only parameters, whose annotations say what is right."""

from __future__ import annotations

import builtins
import inspect
import math
import types
import typing
from collections.abc import Callable
from typing import Any, get_args, get_origin

from flowbench.config.errors import ConfigError, known
from flowbench.config.limits import Within
from flowbench.config.sources import file_of


def check_options(function: Callable, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` for the keyword-only parameters of ``function``, its defaults filled in.

    The annotations say what is right, as in `Section`. Positional parameters are no options: the caller gives them.

    Raises:
        ConfigError: for the first mistake. It names the key below ``where``, or the file of ``function`` if an option
            has no usable type.
    """
    from pydantic import create_model

    from flowbench.config.sections import Section, parse

    fields: dict[str, Any] = {
        name: _option(function, name, parameter) for name, parameter in _keywords(function).items()
    }
    return dict(parse(create_model("Options", __base__=Section, **fields), options, where))


def recorded_options(function: Callable, options: dict[str, Any], where: str) -> dict[str, Any]:
    """``options`` that `check_options` has returned and that JSON has kept since.

    pydantic is needed only where JSON has changed a type, such as a tuple into a list.

    Raises:
        ConfigError: ``function`` has other options by now, or a value is not right.
    """
    keywords = _keywords(function)
    if reason := fault(options, dict):
        raise ConfigError(f"{where}: options = {options!r}: {reason}")
    for key in options:
        known(key, keywords, f"{where}: options", "key")
    for name, parameter in keywords.items():
        if parameter.default is parameter.empty and name not in options:
            raise ConfigError(f"{where}: options.{name}: is missing")
    if not all(_is_of_json(parameter.annotation) for parameter in keywords.values()):
        return check_options(function, options, where)
    for name, value in options.items():
        if reason := fault(value, keywords[name].annotation):
            raise ConfigError(f"{where}: options.{name} = {value!r}: {reason}")
    return options


def fault(value: Any, annotation: Any) -> str | None:
    """Why a value from JSON is not of a type that `_is_of_json`, or ``None`` if it is; for where pydantic is not."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case typing.Annotated:
            return fault(value, arguments[0]) or next(
                filter(None, (limits.fault(value) for limits in arguments[1:])), None
            )
        case typing.Literal:
            return None if value in arguments else f"must be one of {', '.join(map(repr, arguments))}"
        case builtins.dict:
            reason = None if type(value) is dict else "must be a mapping"
            return reason or next(filter(None, (fault(one, arguments[1]) for one in value.values())), None)
        case builtins.list:
            reason = None if type(value) is list else "must be a list"
            return reason or next(filter(None, (fault(one, arguments[0]) for one in value)), None)
        case typing.Union | types.UnionType:
            reasons = [fault(value, one) for one in arguments]
            return None if None in reasons else reasons[0]
    if type(value) is float and not math.isfinite(value):
        return "must be finite"
    if type(value) is annotation or (annotation is float and type(value) is int):
        return None
    return "must be null" if annotation is types.NoneType else f"must be of the type {annotation.__name__}"


def _is_of_json(annotation: Any) -> bool:
    """Whether JSON gives values of a type back as they were."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case None:
            return annotation in (bool, int, float, str, list, types.NoneType)
        case typing.Annotated:
            # A validator of pydantic's may change a value.
            return _is_of_json(arguments[0]) and all(isinstance(other, Within) for other in arguments[1:])
        case typing.Literal:
            return True
        case builtins.dict:
            return arguments[0] is str and _is_of_json(arguments[1])
        case builtins.list | typing.Union | types.UnionType:
            return all(map(_is_of_json, arguments))
    return False


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
    from pydantic import PydanticSchemaGenerationError, TypeAdapter

    option = f"{file_of(function)}: the option {name!r} of {function.__name__}()"
    if parameter.annotation is parameter.empty:
        raise ConfigError(f"{option} needs a type, such as {name}: int")
    try:
        TypeAdapter(parameter.annotation)
    except PydanticSchemaGenerationError:
        raise ConfigError(f"{option} has a type that no YAML can hold: {parameter.annotation}") from None
    return parameter.annotation, ... if parameter.default is parameter.empty else parameter.default
