"""What the flows of all libraries share."""

from typing import Literal

from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import vector_flow

Architecture = Literal["realnvp", "maf", "nsf"]


def library_flow(event: Event, maps: FlowModule) -> FlowModel:
    """A library's maps behind the standardisation and before the prior that our flows have, too."""
    return vector_flow(event, [maps])


def perceptron(hidden: list[int]) -> tuple[int, int]:
    """The width and the blocks of a residual network, of two linear layers each, that stands for a perceptron.

    Raises:
        ValueError: its layers differ in width.
    """
    if len(set(hidden)) != 1:
        raise ValueError(f"the library's networks have layers of one width, got {hidden}")
    return hidden[0], max(1, len(hidden) - 1)
