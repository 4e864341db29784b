"""Limits of numbers and of lists: types for the options of a flow or of a data source.

pydantic checks them as it checks its own, and this file does not import it, so that a trained flow loads without it.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, kw_only=True)
class Within:
    """Limits of a type, such as in ``Annotated[int, Within(ge=2)]``.

    Attributes:
        gt, ge, lt, le: a number is greater than, at least, less than, at most this.
        min_length: a list has at least so many values.
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    min_length: int | None = None

    def fault(self, value: Any) -> str | None:
        """What a value of the right type lacks, or ``None`` if it is within these limits."""
        ways = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
        words = {"gt": "greater than", "ge": "at least", "lt": "less than", "le": "at most"}
        for name, holds in ways.items():
            limit = getattr(self, name)
            if limit is not None and not holds(value, limit):
                return f"must be {words[name]} {limit}"
        if self.min_length is not None and len(value) < self.min_length:
            return f"must be of length {self.min_length} or more"
        return None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """How pydantic checks the type ``source`` within these limits."""
        from pydantic import Field

        limits: dict[str, Any] = {name: limit for name, limit in vars(self).items() if limit is not None}
        return handler(Annotated[source, Field(**limits)])


PositiveInt = Annotated[int, Within(gt=0)]
NonNegativeInt = Annotated[int, Within(ge=0)]
PositiveFloat = Annotated[float, Within(gt=0)]
NonNegativeFloat = Annotated[float, Within(ge=0)]
