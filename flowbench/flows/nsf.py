"""NSF: neural spline flow (Durkan et al. 2019, 1906.04032)."""

from __future__ import annotations

from typing import Annotated, Literal

from flowbench.config import PositiveFloat, PositiveInt, Within
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha
from flowbench.flows._labelled import Condition, classes_of, on_features, row_flow
from flowbench.layers._parts import coupling_parts
from flowbench.layers._univariate import RationalQuadratic
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.spline_coupling import SplineCoupling
from flowbench.networks.mlp import mlp


def build(
    event: Event,
    *,
    architecture: Literal["coupling", "autoregressive"] = "coupling",
    layers: PositiveInt = 10,
    hidden: list[PositiveInt],
    bins: Annotated[int, Within(ge=2)] = 8,
    bound: PositiveFloat = 3.0,
    logit: Alpha = None,
    condition: Condition = None,
) -> FlowModel:
    """Rational-quadratic splines of each feature, with a linear map before each layer of them.

    Args:
        architecture: ``coupling``: the splines of one half depend on the other half, RQ-NSF (C) in the paper.
            ``autoregressive``: those of each feature depend on the features before it, RQ-NSF (AR).
        layers: number of layers of splines.
        hidden: sizes of the hidden layers of each network; the paper's have residual blocks.
        bins: pieces of each spline.
        bound: splines bend ``[-bound, bound]``, and are the identity outside. Data are standardised before.
        logit: α of the logit that integer data passes first; null for none.
        condition: ``label``: a density for each class, of which the flow is the mixture with the classes' frequencies;
            null for one density that knows of no labels.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    classes = classes_of(event, condition)
    spline = RationalQuadratic(bins, bound)
    maps: list[FlowModule] = []
    for i in range(layers):
        maps.append(on_features(InvertibleLinear(event.dims), classes))
        if architecture == "autoregressive":
            maps.append(MaskedAutoregressive(event.dims, hidden, spline, context=classes))
        else:
            swap = i % 2 == 1
            kept, changed = coupling_parts(event.dims, swap)
            network = mlp(classes + kept, hidden, changed * spline.parameters)
            maps.append(SplineCoupling(network, spline, swap=swap, context=classes))
    return row_flow(event, maps, classes, logit=logit)
