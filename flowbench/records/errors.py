"""The error of a file that cannot be used."""

from flowbench.runtime.errors import ExpectedError


class RecordError(ExpectedError):
    """A file of a cell is missing, of an older format or damaged; one line says which, and how to make it again."""
