"""What is measured of one seed, one family of metrics after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from flowbench.core import NoSuchDirectionError, SolverError
from flowbench.runtime.seeding import seed_for, seeded


class Measurement:
    """The metrics of one seed.

    A solver that gives up, or a direction that a flow does not have, costs those of one family, and not those after it.

    Args:
        data: the data set, from whose name, the seed and a family's purpose the random numbers of each family derive.
        seed: that was trained.

    Attributes:
        values: of the metrics, by name.
    """

    def __init__(self, data: str, seed: int):
        self.values: dict[str, float] = {}
        self._origin = (data, "evaluation")
        self._seed = seed
        self._given_up: dict[str, list[str]] = defaultdict(list)

    def attempt(self, purpose: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What ``function`` finds, with random numbers of its own; ``None`` where it cannot."""
        try:
            with seeded(seed_for(*self._origin, purpose, self._seed)):
                return function(*arguments)
        except (SolverError, NoSuchDirectionError) as error:
            self._given_up[str(error)].append(purpose)
            return None

    def enter(self, purpose: str, family: Callable[..., dict[str, float] | None], *arguments: Any) -> None:
        """Add what a family of metrics finds to the values."""
        self.values |= self.attempt(purpose, family, *arguments) or {}

    @property
    def missing(self) -> str:
        """Why something could not be measured, and what; empty if all was."""
        return "; ".join(f"{error} ({', '.join(purposes)})" for error, purposes in self._given_up.items())
