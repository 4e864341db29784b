"""The errors that maps and models raise."""


class NoSuchDirectionError(RuntimeError):
    """A map was asked for a direction that does not exist (for instance, sampling a one-way map)."""


class ShapeError(ValueError):
    """A map or a flow was given events of a shape that it cannot take."""


class LabelError(ValueError):
    """A label names no class, or a class that training never saw."""


class ResolutionError(ValueError):
    """The numbers of a feature are too coarse, at their size, to show its spread."""


class DerivativeError(RuntimeError):
    """A map was asked for a derivative that it does not know, such as the second one of an iteration."""


class SolverError(RuntimeError):
    """A differential equation could not be solved; says what happened and which option to change."""
