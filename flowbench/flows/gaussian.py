"""Baseline that is no flow: one Gaussian with full or diagonal covariance, by scikit-learn."""

from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import Alpha
from flowbench.flows.gaussian_mixture import Covariance, FittedMixture


def build(event: Event, *, covariance: Covariance = "full", logit: Alpha = None) -> FlowModel:
    """The Gaussian with the mean and covariance of the training data: a mixture of one.

    Args:
        covariance: ``diagonal`` takes the features for independent.
        logit: α of the logit that integer data passes first; null for none.
    """
    return FittedMixture(event, [1], covariance=covariance, logit=logit)
