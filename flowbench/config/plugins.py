"""Packages whose files are found by their names: flows, layers and data sources."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from flowbench.config import ConfigError
from flowbench.config.sources import explain


def names(folders: Iterable[str]) -> list[str]:
    """The plug-ins in a package's ``__path__``, in alphabetical order; other files begin with an underscore."""
    return sorted(path.stem for folder in folders for path in Path(folder).glob("[a-z]*.py"))


def load(package: str, name: str) -> ModuleType:
    """The module ``package.name``, where ``name`` is one of `names`.

    Raises:
        ConfigError: the file cannot be imported; the message names the file and the line that prevents it.
    """
    try:
        return importlib.import_module(f"{package}.{name}")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{explain(error)} (while {package}.{name} was imported)") from error
