"""Packages whose files are found by their names: flows, layers, data sources and metrics.

They are files of flowbench itself, files of one's own below ``plugins/`` in the repository, and modules that an
installed package contributes by an entry point of the package's name, such as ``flowbench.flows``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from flowbench.config.errors import ConfigError
from flowbench.config.sources import explain

# The folder of files of one's own, relative to the repository's root.
OWN = Path("plugins")


def own(kind: str) -> str:
    """The folder of files of one's own, absolute; a package appends it to its ``__path__``."""
    return str(Path(OWN, kind).absolute())


def names(package: str, folders: Iterable[str]) -> list[str]:
    """The plug-ins in a package's ``__path__`` and those that are installed, in alphabetical order.

    Other files begin with an underscore. Nothing is imported.
    """
    found = {path.stem for folder in folders for path in Path(folder).glob("[a-z]*.py")}
    return sorted(found | installed(package).keys())


@cache
def installed(package: str) -> dict[str, list[EntryPoint]]:
    """The entry points of installed packages, by name; a name should have one."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=package):
        found.setdefault(entry.name, []).append(entry)
    return found


def load(package: str, name: str, folders: Iterable[str]) -> ModuleType:
    """The module of the plug-in ``name``, which is one of `names`.

    Raises:
        ConfigError: it cannot be imported, and the message names the file and the line that prevents it; or another
            plug-in has the same name.
    """
    files = [str(path) for folder in folders if (path := Path(folder, f"{name}.py")).is_file()]
    entries = installed(package).get(name, [])
    if len(files) + len(entries) > 1:
        places = [*files, *(f"{entry.value} of {entry.dist.name if entry.dist else '?'}" for entry in entries)]
        raise ConfigError(f"{package}: several plug-ins are called {name}: {', '.join(places)}; rename all but one")
    try:
        return importlib.import_module(entries[0].module if entries else f"{package}.{name}")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{explain(error)} (while {package}.{name} was imported)") from error


def load_all(package: str, folders: Iterable[str]) -> list[ModuleType]:
    """The modules of all plug-ins; one that cannot be imported is left out, and a line on stderr says why."""
    modules = []
    for name in names(package, folders := list(folders)):
        try:
            modules.append(load(package, name, folders))
        except ConfigError as error:
            print(f"{package}: {name} is left out: {error}", file=sys.stderr)
    return modules
