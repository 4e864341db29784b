"""The warm-up: one element-wise affine map, so a normal distribution with diagonal covariance."""

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import vector_flow
from flowbench.layers.affine import ElementwiseAffine


def build(event: Event) -> FlowModel:
    """x = z ⊙ exp(s) + t. On data that is not standardised first, t and exp(s) are its mean and std.

    Example:
        >>> import torch
        >>> model = build(Event((2,)))
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    return vector_flow(event, [ElementwiseAffine((event.dims,))])
