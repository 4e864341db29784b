"""IAF distilled from a MAF: probability density distillation (van den Oord et al. 2018, 1711.10433)."""

from __future__ import annotations

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel
from flowbench.flows import iaf
from flowbench.flows._assembly import Alpha
from flowbench.flows._student import Student

# The flow that it learns from: a cell of this flow has a teacher, which is a cell of that one.
TEACHER = "maf"


def build(event: Event, *, layers: PositiveInt = 5, hidden: list[PositiveInt], logit: Alpha = None) -> FlowModel:
    """The maps of `iaf`, to be trained on the density of a `maf` instead of on data.

    Args:
        layers: number of autoregressive maps.
        hidden: sizes of the hidden layers of each MADE.
        logit: α of the logit that integer data passes first, the teacher's; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    model = iaf.build(event, layers=layers, hidden=hidden, logit=logit)
    return Student(model, preprocessing=len(model.transform.chain) - 2 * layers)
