"""Data sources, one per file. A file's name is the source's name in ``params.yaml``, cells and reports."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flowbench.config import PARAMS, ConfigError, check_options, known
from flowbench.data._saved import fingerprint, read, save, saved_entropy
from flowbench.data._source import SPLITS, DataError, SampledSource, Source

__all__ = [
    "SPLITS",
    "DataError",
    "SampledSource",
    "Source",
    "check",
    "fingerprint",
    "load",
    "names",
    "read",
    "save",
    "saved_entropy",
]


def names() -> list[str]:
    """All data sources, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def load(name: str, **options) -> Source:
    """The source called ``name`` with the options that ``params.yaml`` gives under ``data.<name>``.

    Raises:
        ConfigError: there is no such source, or an option is wrong.
    """
    return _build(name, options, f"data.{name}")


def check(name: str, options: dict[str, Any], where: str) -> None:
    """Check that ``options``, which stand at the key ``where``, are options of the source ``name``.

    Raises:
        ConfigError: they are not.
    """
    _build(name, options, where)


def _build(name: str, options: dict[str, Any], where: str) -> Source:
    source = importlib.import_module(f"{__name__}.{known(name, names(), 'data', 'data set')}").source
    options = check_options(source, options, where)
    try:
        return source(**options)
    except ValueError as error:
        raise ConfigError(f"{PARAMS}: {where} = {options}: {error}") from None
