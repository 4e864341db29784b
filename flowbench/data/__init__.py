"""Data sources, one per file. A file's name is the source's name in ``params.yaml``, cells and reports."""

import json
from collections.abc import Mapping
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known, plugins
from flowbench.config.sources import file_of
from flowbench.data._saved import fingerprint, read, read_labels, save, saved_entropy
from flowbench.data._source import SPLITS, DataError, SampledSource, Source

__all__ = [
    "SPLITS",
    "DataError",
    "SampledSource",
    "Source",
    "expanded",
    "fingerprint",
    "load",
    "names",
    "read",
    "read_labels",
    "save",
    "saved_entropy",
]

__path__.append(plugins.own("data"))


def names() -> list[str]:
    """All data sources, in alphabetical order."""
    return plugins.names(__name__, __path__)


def load(name: str, *, source: str = "", **options) -> Source:
    """The data set called ``name`` with the options that ``params.yaml`` gives under ``data.<name>``.

    Args:
        source: the name of the data source, if it is not that of the data set.

    Raises:
        ConfigError: there is no such source, its file offers none, or an option is wrong.
    """
    where = f"{PARAMS}: data.{name}"
    if source:
        known(source, names(), f"{where}.source", "data source")
    module = plugins.load(__name__, source or known(name, names(), f"{PARAMS}: data", "data set"), __path__)
    if not callable(build := getattr(module, "source", None)):
        raise ConfigError(f"{file_of(module)}: add source = ..., with the class of the source")
    options = check_options(build, options, where)
    try:
        found = build(**options)
        vars(found)["name"] = name
        _ = found.event, found.grid  # they may find options that are wrong together
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"{where} = {options}: {error}") from None
    return found


def expanded(sets: Mapping[str, dict[str, Any]]) -> str:
    """The text of ``stages/data.yaml``: for each data set of ``params.yaml`` the path that its download reads.

    That is the file of one's own that the source reads or, where it reads none, the list of the source's code.

    Raises:
        ConfigError: a data set has a wrong option, or reads several files that are in no common folder of their own.
    """
    lines = ["# Made from params.yaml by `flowbench expand`; edit that file instead.", "data:"]
    for name, options in sets.items():
        files = load(name, **options).files()
        if len(files) > 1:
            raise ConfigError(f"{PARAMS}: data.{name}: reads {len(files)} files; name one folder for all")
        lines.append(f"  {name}: {{reads: {json.dumps(str(files[0])) if files else f'code/data/{name}.json'}}}")
    return "".join(f"{line}\n" for line in lines)
