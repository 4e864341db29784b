"""YAML files, read with the library that DVC reads them with, so that both see the same values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowbench.config.errors import ConfigError

# DVC puts names into paths, into commands of a shell and between dots as they are.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
# Plain words that YAML 1.1 reads as something else, and YAML 1.2 as text.
_AMBIGUOUS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def read(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: it cannot be read, is no YAML, or is no mapping whose keys are text.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    except YAMLError as error:
        raise ConfigError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    except Exception as error:  # a value such as 2026-13-45 or `!!bool x` raises what it will
        raise ConfigError(f"{path}: is not YAML: {type(error).__name__}: {error}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping, such as `key: value`")
    try:
        _check_keys(document, path, "", set())
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None
    return document


def check_names(names: Iterable[str], where: str) -> None:
    """Raise a `ConfigError` unless each name is only a name to a shell, in a path and in each version of YAML."""
    for name in names:
        if not _NAME.fullmatch(name) or name.lower() in _AMBIGUOUS:
            raise ConfigError(
                f"{where} = {name!r}: is no name; choose one of the letters A to Z and a to z, digits, _ and -, "
                "which does not begin with - and is no word for true, false or null"
            )


def _check_keys(value: Any, path: Path, where: str, above: set[int]) -> None:
    """Each key of each mapping is text: another parser may read `true: 1` or `1e3: 1` differently."""
    if not isinstance(value, dict | list):
        return
    if id(value) in above:
        raise ConfigError(f"{path}: {where}: holds itself")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        at = f"{where}.{key}" if where else str(key)
        if isinstance(value, dict) and not isinstance(key, str):
            raise ConfigError(f"{path}: {at}: YAML reads this key as {key!r}, and not as text; choose another name")
        _check_keys(item, path, at, above | {id(value)})
