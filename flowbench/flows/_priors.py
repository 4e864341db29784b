"""Priors over the latent, by the names that ``params.yaml`` gives them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal, constraints
from torch.nn.functional import logsigmoid

from flowbench.core import Mixture

PriorName = Literal["normal", "diagonal", "logistic", "mixture"]


def prior(name: PriorName, dims: int) -> Distribution | nn.Module:
    """The prior called ``name`` over ``(dims,)``."""
    return _PRIORS[name](dims)


def standard_normal(dims: int) -> Distribution:
    """N(0, I) over ``(dims,)``."""
    return Independent(Normal(torch.zeros(dims), torch.ones(dims), validate_args=False), 1, validate_args=False)


def mixture(start: Mixture) -> Distribution:
    """The equal Gaussians over ``(dims,)`` that a transport starts from."""
    centres = torch.tensor(start.centres)
    components = Normal(centres, torch.full_like(centres, start.std), validate_args=False)
    return MixtureSameFamily(
        Categorical(logits=torch.zeros(len(centres)), validate_args=False),
        Independent(components, 1, validate_args=False),
        validate_args=False,
    )


class Logistic(Distribution):
    """Independent standard logistic variables, log p(z) = -z - 2 log(1 + exp(-z)) (Dinh et al. 2015, 1410.8516).

    torch can build it as a transformed uniform distribution, but may then draw infinite samples.
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, dims: int):
        super().__init__(event_shape=torch.Size((dims,)), validate_args=False)
        # Carries the device and dtype of the samples.
        self.loc = torch.zeros(dims)

    def rsample(self, sample_shape=()) -> Tensor:
        uniform = torch.rand(torch.Size(sample_shape) + self.event_shape, dtype=self.loc.dtype, device=self.loc.device)
        smallest = torch.finfo(uniform.dtype).eps / 2
        return torch.logit(uniform.clamp(smallest, 1 - smallest))

    def log_prob(self, value: Tensor) -> Tensor:
        return (logsigmoid(value) + logsigmoid(-value)).sum(-1)


class DiagonalNormal(nn.Module):
    """A normal distribution with a learnt mean and standard deviation of each coordinate, which starts as N(0, I)."""

    def __init__(self, dims: int):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(dims))
        self.log_scale = nn.Parameter(torch.zeros(dims))

    def extra_repr(self) -> str:
        return f"dims={len(self.mean)}"

    def forward(self) -> Distribution:
        return Independent(Normal(self.mean, self.log_scale.exp(), validate_args=False), 1, validate_args=False)


class GaussianMixture(nn.Module):
    """A learnt mixture of Gaussians with diagonal covariances; by default it has two components."""

    def __init__(self, dims: int, components: int = 2):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        # Components that start at the same mean would never separate.
        self.means = nn.Parameter(torch.randn(components, dims))
        self.log_scales = nn.Parameter(torch.zeros(components, dims))

    def extra_repr(self) -> str:
        return f"components={len(self.means)}, dims={self.means.shape[1]}"

    def forward(self) -> Distribution:
        components = Normal(self.means, self.log_scales.exp(), validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            Independent(components, 1, validate_args=False),
            validate_args=False,
        )


_PRIORS = {"normal": standard_normal, "diagonal": DiagonalNormal, "logistic": Logistic, "mixture": GaussianMixture}
