"""A baseline, not a flow: a mixture of Gaussians with full covariances, by scikit-learn."""

from __future__ import annotations

import importlib
import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, MultivariateNormal, Normal

from flowbench.config import PositiveInt
from flowbench.core import Event, FittedModel, FlowModel, FlowSequential
from flowbench.flows._assembly import Alpha, as_continuous_vectors, preprocessing

Covariance = Literal["full", "diagonal"]


def build(event: Event, *, components: list[PositiveInt], logit: Alpha = None) -> FlowModel:
    """A mixture whose number of components is chosen on the validation split.

    Args:
        components: the numbers to choose from.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model, x = build(Event((2,)), components=[1, 3]), torch.randn(500, 2)
        >>> model.fit(x[:400], x[400:])
        >>> model.log_prob(x).shape, model.sample(3).shape
        (torch.Size([500]), torch.Size([3, 2]))
    """
    return FittedMixture(event, components, logit=logit)


class FittedMixture(FittedModel):
    """scikit-learn's mixture as torch tensors, with the same preprocessing as the flows.

    10⁻⁴ is added to the variances of the standardised features, so that no component collapses.

    Args:
        components: the numbers of components to choose from.
        covariance: of each component.
        logit: α of the logit that integer data passes first; ``None`` for none.
    """

    def __init__(self, event: Event, components: list[int], *, covariance: Covariance = "full", logit: Alpha = None):
        dequantise, maps = preprocessing(event, logit)
        prior = _MixturePrior(event.dims, max(components), covariance)
        super().__init__(FlowSequential(*maps), prior, dequantise=dequantise)
        self.components = components

    def prepare(self) -> None:
        importlib.import_module("sklearn.mixture")

    def fit(self, train: Tensor, validation: Tensor) -> None:
        from sklearn.mixture import GaussianMixture

        self.initialise(train)
        train, validation = (as_continuous_vectors(self, x).cpu() for x in (train, validation))
        seed = int(torch.randint(2**31, ()))
        assert isinstance(self.prior, _MixturePrior)
        kind = {"full": "full", "diagonal": "diag"}[self.prior.covariance]
        fits = [
            GaussianMixture(k, covariance_type=kind, reg_covar=1e-4, random_state=seed).fit(train.numpy())
            for k in self.components
        ]
        best = fits[0] if len(fits) == 1 else max(fits, key=lambda fit: fit.score(validation.numpy()))
        self.prior.set(best.weights_, best.means_, best.covariances_)

    def parameter_count(self) -> int:
        """How many numbers were fitted: weights, means and covariances of the components in use."""
        assert isinstance(self.prior, _MixturePrior)
        components = int(self.prior.log_weights.isfinite().sum())
        dims = self.prior.means.shape[1]
        covariance = dims if self.prior.covariance == "diagonal" else dims * (dims + 1) // 2
        return components - 1 + components * (dims + covariance)


class _MixturePrior(nn.Module):
    """Buffers for a mixture of up to ``components`` Gaussians; unused ones have weight zero."""

    def __init__(self, dims: int, components: int, covariance: Covariance):
        super().__init__()
        self.covariance = covariance
        self.register_buffer("log_weights", torch.full((components,), -math.log(components)))
        self.register_buffer("means", torch.zeros(components, dims))
        # Cholesky factors, or the standard deviations that are their diagonals.
        scales = torch.ones(dims) if covariance == "diagonal" else torch.eye(dims)
        self.register_buffer("scales", scales.expand(components, *scales.shape).clone())

    def extra_repr(self) -> str:
        return f"components={len(self.means)}, dims={self.means.shape[1]}, covariance={self.covariance}"

    def set(self, weights, means, covariances) -> None:
        """Take over arrays of shapes ``(k,)``, ``(k, D)`` and ``(k, D, D)``, or ``(k, D)`` if they are diagonal."""
        used = slice(len(weights))
        self.log_weights.fill_(-math.inf)
        self.log_weights[used] = torch.as_tensor(weights).log().to(self.log_weights)
        self.means[used] = torch.as_tensor(means).to(self.means)
        covariances = torch.as_tensor(covariances)
        scales = covariances.sqrt() if self.covariance == "diagonal" else torch.linalg.cholesky(covariances)
        self.scales[used] = scales.to(self.scales)

    def forward(self) -> Distribution:
        components: Distribution
        if self.covariance == "diagonal":
            components = Independent(Normal(self.means, self.scales, validate_args=False), 1, validate_args=False)
        else:
            components = MultivariateNormal(self.means, scale_tril=self.scales, validate_args=False)
        weights = Categorical(logits=self.log_weights, validate_args=False)
        return MixtureSameFamily(weights, components, validate_args=False)
