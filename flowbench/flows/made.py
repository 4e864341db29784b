"""MADE: masked autoencoder for distribution estimation (Germain et al. 2015, 1502.03509)."""

from __future__ import annotations

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.layers._univariate import MixtureOfGaussians
from flowbench.layers.autoregressive import MaskedAutoregressive


def build(
    event: Event, *, hidden: list[PositiveInt], components: PositiveInt | None = None, logit: Alpha = None
) -> FlowModel:
    """One network that gives the conditional density of each feature, given the features before it.

    The paper is on binary data; the conditionals of real data are those of Papamakarios et al. 2017 (1705.07057).

    Args:
        hidden: sizes of the hidden layers.
        components: of the mixtures of Gaussians that are the conditionals; null for one Gaussian each.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), hidden=[8], components=3)
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    if components is None:
        return vector_flow(event, [MaskedAutoregressive(event.dims, hidden)], logit=logit)
    layer = MaskedAutoregressive(event.dims, hidden, MixtureOfGaussians(components))
    return vector_flow(event, [layer], logit=logit, prior_name="logistic", chosen=f"components: {components}")
