"""NICE: non-linear independent components estimation (Dinh et al. 2015, 1410.8516)."""

import torch

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.flows._priors import PriorName
from flowbench.layers._parts import coupling_parts
from flowbench.layers.additive_coupling import AdditiveCoupling
from flowbench.layers.permutation import Permutation
from flowbench.layers.rescaling import Rescaling
from flowbench.networks.mlp import mlp


def build(
    event: Event,
    *,
    layers: PositiveInt = 8,
    hidden: list[PositiveInt],
    interleave: bool = False,
    logit: Alpha = None,
    prior: PriorName = "normal",
) -> FlowModel:
    """Additive couplings that change the two halves in turn, and one diagonal rescaling at the end.

    Args:
        layers: number of couplings.
        hidden: sizes of the hidden layers of each coupling's network.
        interleave: the halves are the even and the odd features, as in the paper; the first and second half of an
            image would be its top and bottom.
        logit: α of the logit that integer data passes first; null for none, as in the paper.
        prior: the paper's is logistic for MNIST.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    maps: list[FlowModule] = []
    if interleave:
        maps.append(Permutation(torch.cat((torch.arange(0, event.dims, 2), torch.arange(1, event.dims, 2)))))
    for i in range(layers):
        swap = i % 2 == 1
        kept, changed = coupling_parts(event.dims, swap)
        shift = mlp(kept, hidden, changed)
        # A shift that starts at zero learns only how one half's mean depends on the other, which for symmetric data
        # is not at all.
        shift[-1].reset_parameters()
        maps.append(AdditiveCoupling(shift, swap=swap))
    return vector_flow(event, [*maps, Rescaling((event.dims,))], logit=logit, prior_name=prior)
