"""MAF: masked autoregressive flow (Papamakarios et al. 2017, 1705.07057)."""

from __future__ import annotations

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha
from flowbench.flows._labelled import Condition, classes_of, on_features, row_flow
from flowbench.layers._univariate import MixtureOfGaussians
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.permutation import Permutation


def build(
    event: Event,
    *,
    layers: PositiveInt = 5,
    hidden: list[PositiveInt],
    components: PositiveInt | None = None,
    logit: Alpha = None,
    condition: Condition = None,
) -> FlowModel:
    """Autoregressive maps, with the order of the features reversed between them.

    Densities cost one pass of each network; samples are drawn feature by feature.

    Args:
        layers: number of autoregressive maps.
        hidden: sizes of the hidden layers of each MADE.
        components: of the mixtures of Gaussians that are the conditionals of one more map, which ends in the latent
            (MAF MoG, section 4.3; 10 in the paper); null for none.
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
    maps: list[FlowModule] = []
    for _ in range(layers):
        maps.append(MaskedAutoregressive(event.dims, hidden, context=classes))
        maps.append(on_features(Permutation.reverse(event.dims), classes))
    if components is None:
        return row_flow(event, maps, classes, logit=logit)
    maps.append(MaskedAutoregressive(event.dims, hidden, MixtureOfGaussians(components), context=classes))
    return row_flow(event, maps, classes, logit=logit, prior_name="logistic", chosen=f"components: {components}")
