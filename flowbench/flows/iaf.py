"""IAF: inverse autoregressive flow (Kingma et al. 2016, 1606.04934)."""

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule, Inverse
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.permutation import Permutation


def build(event: Event, *, layers: PositiveInt = 5, hidden: list[PositiveInt], logit: Alpha = None) -> FlowModel:
    """Autoregressive maps in the direction that samples fast: from latent to data in one pass of each network.

    Densities of given data, and so learning from it, go feature by feature.

    Args:
        layers: number of autoregressive maps.
        hidden: sizes of the hidden layers of each MADE.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = []
    for _ in range(layers):
        maps += [Inverse(MaskedAutoregressive(event.dims, hidden)), Permutation.reverse(event.dims)]
    return vector_flow(event, maps, logit=logit)
