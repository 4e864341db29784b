"""Baseline that is no flow: one Gaussian with full covariance, by scikit-learn."""

from flowbench.core import Event, FlowModel
from flowbench.flows.gaussian_mixture import FittedMixture


def build(event: Event) -> FlowModel:
    """The Gaussian with the mean and covariance of the training data: a mixture of one."""
    return FittedMixture(event, [1])
