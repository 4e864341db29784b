"""What all flows share: the preprocessing in front of them and the priors behind them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from flowbench.core import Event, FlowModel, FlowModule, FlowSequential
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.flatten import Flatten
from flowbench.layers.logit import Logit
from flowbench.layers.standardise import Standardise

PriorName = Literal["normal", "mixture"]


def preprocessing(event: Event) -> tuple[Dequantise | None, list[FlowModule]]:
    """The dequantisation that integer data needs, and the maps from data space to standardised vectors."""
    maps: list[FlowModule] = []
    if event.logit is not None:
        maps.append(Logit(event.logit))
    if len(event.shape) > 1:
        maps.append(Flatten(event.shape))
    if event.standardise:
        maps.append(Standardise((event.dims,)))
    return Dequantise(event.levels) if event.levels else None, maps


def vector_flow(event: Event, layers: list[FlowModule], prior: PriorName = "normal") -> FlowModel:
    """A flow on vectors: the data set's preprocessing, ``layers`` from data to latent, and a prior."""
    dequantise, maps = preprocessing(event)
    return FlowModel(FlowSequential(*maps, *layers), _PRIORS[prior](event.dims), dequantise=dequantise)


def standard_normal(dims: int) -> Distribution:
    """N(0, I) over ``(dims,)``."""
    return Independent(Normal(torch.zeros(dims), torch.ones(dims), validate_args=False), 1, validate_args=False)


class GaussianMixturePrior(nn.Module):
    """A learnt mixture of Gaussians with diagonal covariances, by default of two."""

    def __init__(self, dims: int, components: int = 2):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        # Components that start at one place stay there: they need different means to part.
        self.means = nn.Parameter(torch.randn(components, dims))
        self.log_scales = nn.Parameter(torch.zeros(components, dims))

    def forward(self) -> Distribution:
        components = Normal(self.means, self.log_scales.exp(), validate_args=False)
        return MixtureSameFamily(
            Categorical(logits=self.logits, validate_args=False),
            Independent(components, 1, validate_args=False),
            validate_args=False,
        )


_PRIORS = {"normal": standard_normal, "mixture": GaussianMixturePrior}


def as_continuous_vectors(model: FlowModel, x: Tensor) -> Tensor:
    """Training data as the preprocessing of ``model`` hands it on, ``(n, D)``."""
    with torch.no_grad():
        return model.transform.encode(model.continuous(x)[0])[0]
