"""A baseline, not a flow: one Gaussian with full or diagonal covariance, by scikit-learn."""

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import Alpha
from flowbench.flows.gaussian_mixture import Covariance, FittedMixture


def build(event: Event, *, covariance: Covariance = "full", logit: Alpha = None) -> FlowModel:
    """The Gaussian with the mean and covariance of the training data: a mixture of one.

    Args:
        covariance: ``full``, or ``diagonal`` for independent features.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model, x = build(Event((2,))), torch.randn(500, 2)
        >>> model.fit(x[:400], x[400:])
        >>> model.log_prob(x).shape, model.sample(3).shape
        (torch.Size([500]), torch.Size([3, 2]))
    """
    return FittedMixture(event, [1], covariance=covariance, logit=logit)
