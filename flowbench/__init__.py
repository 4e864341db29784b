"""flowbench: a reproducible benchmark suite for normalizing flows."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowbench.api import build, certify, fit, load, results, score

__all__ = ["build", "certify", "fit", "load", "results", "score"]


def __getattr__(name: str) -> Any:
    # By its name and when it is asked for: an import would take seconds, and cells would depend on all that it uses.
    if name in __all__:
        return getattr(import_module("flowbench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
