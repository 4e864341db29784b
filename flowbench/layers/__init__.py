"""Invertible maps, one per file.

Each file has a function ``examples()``, which returns small instances of its maps: a dictionary from a name to the map
and the shape of the events that it takes. The tests and ``flowbench check`` go through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowbench.config import ConfigError, plugins
from flowbench.config.sources import explain, file_of
from flowbench.core import FlowModule

__path__.append(plugins.own("layers"))

Examples = dict[str, tuple[FlowModule, tuple[int, ...]]]


def names() -> list[str]:
    """All layers, in alphabetical order."""
    return plugins.names(__name__, __path__)


def examples() -> Iterator[tuple[str, FlowModule, tuple[int, ...]]]:
    """Every example of every layer as (name, map, event shape)."""
    for file in names():
        yield from examples_of(file)


def examples_of(file: str) -> list[tuple[str, FlowModule, tuple[int, ...]]]:
    """Every example of one layer, which is one of `names`, as (name, map, event shape).

    Raises:
        ConfigError: the file cannot be imported, or its ``examples()`` is missing, raises, or returns something else.
    """
    module = plugins.load(__name__, file, __path__)
    wanted = "examples(), which returns a dictionary from a name to a pair of a layer and its event shape"
    if not callable(function := getattr(module, "examples", None)):
        raise ConfigError(f"{file_of(module)}: add {wanted}")
    try:
        found = function()
    except Exception as error:
        raise ConfigError(f"{explain(error)} (in examples())") from error
    if not isinstance(found, dict) or not all(_is_example(value) for value in found.values()):
        raise ConfigError(f"{file_of(module)}: expected {wanted}; found {found!r:.100}")
    return [(f"{file}: {name}", layer, shape) for name, (layer, shape) in found.items()]


def _is_example(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    layer, shape = value
    return isinstance(layer, FlowModule) and isinstance(shape, tuple) and all(isinstance(n, int) for n in shape)
