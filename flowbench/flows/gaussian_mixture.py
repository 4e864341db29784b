"""Baseline that is no flow: a mixture of Gaussians with full covariances, by scikit-learn."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from flowbench.core import Event, FittedModel, FlowModel, FlowSequential
from flowbench.flows._assembly import as_continuous_vectors, preprocessing


def build(event: Event, *, components: list[PositiveInt]) -> FlowModel:
    """A mixture whose number of components is chosen on the validation split.

    Args:
        components: the numbers to choose from.
    """
    return FittedMixture(event, components)


class FittedMixture(FittedModel):
    """scikit-learn's mixture, held as torch tensors over the same preprocessing as the flows have.

    Args:
        components: the numbers of components to choose from.
    """

    def __init__(self, event: Event, components: list[int]):
        dequantise, maps = preprocessing(event)
        super().__init__(FlowSequential(*maps), _MixturePrior(event.dims, max(components)), dequantise=dequantise)
        self.components = components

    def fit(self, train: Tensor, validation: Tensor) -> None:
        from sklearn.mixture import GaussianMixture

        self.initialise(train)
        train, validation = as_continuous_vectors(self, train), as_continuous_vectors(self, validation)
        seed = int(torch.randint(2**31, ()))
        fits = [GaussianMixture(k, reg_covar=1e-4, random_state=seed).fit(train.numpy()) for k in self.components]
        best = max(fits, key=lambda fit: fit.score(validation.numpy()))
        assert isinstance(self.prior, _MixturePrior)
        self.prior.set(best.weights_, best.means_, best.covariances_)

    def parameter_count(self) -> int:
        """How many numbers were fitted: weights, means and covariances of the components in use."""
        assert isinstance(self.prior, _MixturePrior)
        components = int(self.prior.log_weights.isfinite().sum())
        dims = self.prior.means.shape[1]
        return components - 1 + components * (dims + dims * (dims + 1) // 2)


class _MixturePrior(nn.Module):
    """Room for a mixture of up to ``components`` Gaussians; those that are not used have weight zero."""

    def __init__(self, dims: int, components: int):
        super().__init__()
        self.register_buffer("log_weights", torch.full((components,), -math.log(components)))
        self.register_buffer("means", torch.zeros(components, dims))
        self.register_buffer("scale_tril", torch.eye(dims).repeat(components, 1, 1))

    def set(self, weights, means, covariances) -> None:
        """Take over arrays of shapes ``(k,)``, ``(k, D)`` and ``(k, D, D)``."""
        used = slice(len(weights))
        self.log_weights.fill_(-math.inf)
        self.log_weights[used] = torch.as_tensor(weights).log().to(self.log_weights)
        self.means[used] = torch.as_tensor(means).to(self.means)
        self.scale_tril[used] = torch.linalg.cholesky(torch.as_tensor(covariances)).to(self.scale_tril)

    def forward(self) -> Distribution:
        return MixtureSameFamily(
            Categorical(logits=self.log_weights, validate_args=False),
            MultivariateNormal(self.means, scale_tril=self.scale_tril, validate_args=False),
            validate_args=False,
        )
