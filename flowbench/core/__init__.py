"""The contracts of the suite: events, invertible maps, densities, and the check of a map against autograd."""

from flowbench.core.checks import Check
from flowbench.core.errors import (
    DerivativeError,
    LabelError,
    NoSuchDirectionError,
    ResolutionError,
    ShapeError,
    SolverError,
)
from flowbench.core.events import Event, Mixture
from flowbench.core.maps import FlowModule, FlowSequential, Inverse
from flowbench.core.models import FittedModel, FixedPrior, FlowModel, Generator, Likelihood
from flowbench.core.tensors import (
    constant_logdet,
    full_precision,
    require_last_derivative,
    require_levels,
    require_shape,
    soft_clamp,
    sum_event,
)

__all__ = [
    "Check",
    "DerivativeError",
    "Event",
    "FittedModel",
    "FixedPrior",
    "FlowModel",
    "FlowModule",
    "FlowSequential",
    "Generator",
    "Inverse",
    "LabelError",
    "Likelihood",
    "Mixture",
    "NoSuchDirectionError",
    "ResolutionError",
    "ShapeError",
    "SolverError",
    "constant_logdet",
    "full_precision",
    "require_last_derivative",
    "require_levels",
    "require_shape",
    "soft_clamp",
    "sum_event",
]
