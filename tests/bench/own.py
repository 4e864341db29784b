"""The text of a flow of one's own."""

STRAIGHT = """\
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.linear import InvertibleLinear


def build(event: Event) -> FlowModel:
    return vector_flow(event, [InvertibleLinear(event.dims)])
"""
