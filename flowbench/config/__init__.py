"""Configurations, checked before anything runs.

Light on purpose: importing this package loads neither torch nor any flow, nor pydantic before it is needed.
"""

from typing import TYPE_CHECKING, Any

from flowbench.config.errors import ConfigError, known, known_argument
from flowbench.config.limits import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Within
from flowbench.config.options import check_options
from flowbench.config.places import PARAMS

if TYPE_CHECKING:
    from flowbench.config.params import Budget, EvaluateBudget, Params, TrainBudget, load, load_here
    from flowbench.config.sections import Section, parse
    from flowbench.config.suites import CellConfig, Suite

__all__ = [
    "PARAMS",
    "Budget",
    "CellConfig",
    "ConfigError",
    "EvaluateBudget",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Params",
    "PositiveFloat",
    "PositiveInt",
    "Section",
    "Suite",
    "TrainBudget",
    "Within",
    "check_options",
    "known",
    "known_argument",
    "load",
    "load_here",
    "parse",
]


def __getattr__(name: str) -> Any:
    # These modules import pydantic, which a process that loads an export need not have. The listings of code follow
    # import statements alone, so this is one.
    if name in __all__:
        from flowbench.config import params, sections, suites

        owner = {"CellConfig": suites, "Suite": suites, "Section": sections, "parse": sections}.get(name, params)
        return getattr(owner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
