"""Configurations, checked before anything runs.

Light on purpose: importing this package loads neither torch nor any flow.
"""

from flowbench.config.errors import ConfigError, known, known_argument
from flowbench.config.options import Section, check_options, parse
from flowbench.config.params import PARAMS, Budget, EvaluateBudget, Params, TrainBudget, load, load_here
from flowbench.config.suites import CellConfig, Suite

__all__ = [
    "PARAMS",
    "Budget",
    "CellConfig",
    "ConfigError",
    "EvaluateBudget",
    "Params",
    "Section",
    "Suite",
    "TrainBudget",
    "check_options",
    "known",
    "known_argument",
    "load",
    "load_here",
    "parse",
]
