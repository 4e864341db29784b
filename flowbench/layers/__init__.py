"""Invertible maps, one per file.

Each file has a function ``examples()`` that returns small instances with the event shape that each takes; the
tests and ``flowbench check`` go through all of them, so a new layer needs no new test.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from flowbench.core import FlowModule

Examples = dict[str, tuple[FlowModule, tuple[int, ...]]]


def names() -> list[str]:
    """The names of all layers' files, in alphabetical order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def examples() -> Iterator[tuple[str, FlowModule, tuple[int, ...]]]:
    """Every example of every layer as (name, module, event shape)."""
    for file in names():
        module = importlib.import_module(f"flowbench.layers.{file}")
        for name, (layer, shape) in module.examples().items():
            yield f"{file}: {name}", layer, shape
