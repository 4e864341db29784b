"""Residual flow (Behrmann et al. 2019, 1811.00995; Chen et al. 2019, 1906.02735)."""

from __future__ import annotations

from typing import Annotated, Literal

from flowbench.config import PositiveInt, Within
from flowbench.core import Event, FlowModel, FlowModule, Inverse
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.residual import Estimate, Residual
from flowbench.networks.lipschitz import LipschitzPerceptron


def build(
    event: Event,
    *,
    layers: PositiveInt = 8,
    hidden: list[PositiveInt],
    coefficient: Annotated[float, Within(gt=0, lt=1)] = 0.97,
    closed_form: Literal["encode", "decode"] = "encode",
    estimate: Estimate = "training",
    terms: PositiveInt = 4,
    continuation: Annotated[float, Within(gt=0, le=0.95)] = 0.5,
    max_iterations: PositiveInt = 3000,
    logit: Alpha = None,
) -> FlowModel:
    """Residual maps z = x + g(x) with contractions g, and an ActNorm before each and after the last.

    A contraction shrinks no direction, and ActNorm rescales what all layers together move (1906.02735, appendix E).

    Args:
        layers: number of residual maps.
        hidden: sizes of the hidden layers of each g.
        coefficient: the bound on the Lipschitz constant of each g (1811.00995, theorem 1).
        closed_form: ``encode`` to learn from data; ``decode`` for x = z + g(z), to learn from an energy by sampling.
        estimate: when log-determinants are estimated (1906.02735, equation 6) and not exact: ``never``, in ``training``
            alone, or ``always``, for data of so many dimensions that a Jacobian is too large.
        terms: of the series of an estimate that are always taken.
        continuation: the probability of each further term.
        max_iterations: the most steps of the inverse of a map; an inverse that needs more fails.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = [ActNorm((event.dims,))]
    for _ in range(layers):
        network = LipschitzPerceptron(event.dims, hidden, coefficient)
        layer = Residual(
            network, estimate=estimate, terms=terms, continuation=continuation, max_iterations=max_iterations
        )
        maps += [layer if closed_form == "encode" else Inverse(layer), ActNorm((event.dims,))]
    model = vector_flow(event, maps, logit=logit)
    model.likelihood = "estimate" if estimate == "always" else "exact"
    return model
