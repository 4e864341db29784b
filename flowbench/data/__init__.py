"""Data sources, one per file. A file's name is the source's name in ``params.yaml``, cells and reports."""

import json
from collections.abc import Mapping
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known, plugins
from flowbench.config.sources import file_of
from flowbench.data._saved import fingerprint, read, save, saved_entropy
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
    "save",
    "saved_entropy",
]


def names() -> list[str]:
    """All data sources, in alphabetical order."""
    return plugins.names(__path__)


def load(name: str, **options) -> Source:
    """The source called ``name`` with the options that ``params.yaml`` gives under ``data.<name>``.

    Raises:
        ConfigError: there is no such source, its file offers none, or an option is wrong.
    """
    module = plugins.load(__name__, known(name, names(), f"{PARAMS}: data", "data set"))
    if not callable(build := getattr(module, "source", None)):
        raise ConfigError(f"{file_of(module)}: add source = ..., with the class of the source")
    where = f"{PARAMS}: data.{name}"
    options = check_options(build, options, where)
    try:
        source = build(**options)
        _ = source.event, source.grid  # they may find options that are wrong together
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"{where} = {options}: {error}") from None
    return source


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
