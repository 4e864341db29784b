"""Glow: ActNorm, invertible linear map, affine coupling (Kingma & Dhariwal 2018, 1807.03039)."""

from __future__ import annotations

from torch import nn

from flowbench.config import NonNegativeInt, PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha, vector_flow
from flowbench.flows._images import Shape, image_flow, multi_scale
from flowbench.flows._priors import PriorName
from flowbench.layers._parts import coupling_parts
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.conv1x1 import InvertibleConv1x1
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.squeeze import Squeeze
from flowbench.networks.conv import convnet
from flowbench.networks.mlp import mlp
from flowbench.networks.side_by_side import Networks, scale_and_shift


def build(
    event: Event,
    *,
    steps: PositiveInt = 10,
    hidden: list[PositiveInt],
    networks: Networks = "joint",
    alternate: bool = False,
    scales: NonNegativeInt = 0,
    logit: Alpha = None,
    prior: PriorName = "normal",
) -> FlowModel:
    """Steps of flow, each ActNorm, linear map and coupling: on vectors, or on images at several scales.

    Args:
        steps: number of steps, at each scale; K in the paper.
        hidden: sizes of the hidden layers of each coupling's network; for images, channels of its convolutions.
        networks: whether one network gives scale and shift, or each has its own.
        alternate: for vectors, whether couplings change one half and the other in turn, as well as the linear maps
            mix them.
        scales: of the multi-scale architecture for images, L in the paper; 0 takes the event for a vector.
        logit: α of the logit that integer data passes first; null for none, as in the paper.
        prior: for vectors. For images with scales it is normal, and learnt at each scale.

    Example:
        >>> import torch
        >>> model = build(Event((1, 8, 8), levels=17), steps=1, hidden=[8], scales=2)
        >>> model.log_prob(torch.randint(17, (7, 1, 8, 8))).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 1, 8, 8]))
    """
    if scales:
        if alternate:
            raise ValueError("with scales the couplings cannot alternate")
        if prior != "normal":
            raise ValueError(f"with scales the prior must be 'normal', got {prior!r}")
        return image_flow(event, lambda shape: _multi_scale(shape, scales, steps, hidden, networks), logit=logit)
    maps: list[FlowModule] = []
    for i in range(steps):
        # The linear map exchanges the halves in a learnt way, so the couplings need not alternate.
        swap = alternate and i % 2 == 1
        kept, changed = coupling_parts(event.dims, swap)
        maps += [ActNorm((event.dims,)), InvertibleLinear(event.dims)]
        maps.append(AffineCoupling(scale_and_shift(mlp, kept, hidden, changed, networks), swap=swap))
    return vector_flow(event, maps, logit=logit, prior_name=prior)


def _multi_scale(shape: Shape, scales: int, steps: int, hidden: list[int], networks: Networks) -> list[FlowModule]:
    def scale(shape: Shape, last: bool) -> tuple[list[FlowModule], Shape]:
        squeeze = Squeeze(shape)
        shape = squeeze.latent_shape
        half = shape[0] // 2
        maps: list[FlowModule] = [squeeze]
        for _ in range(steps):
            maps += [ActNorm(shape), InvertibleConv1x1(shape[0])]
            maps.append(AffineCoupling(scale_and_shift(convnet, half, hidden, half, networks)))
        # At the end, the mean and scale of each channel: the learnt prior of what no split has taken.
        return [*maps, ActNorm(shape)] if last else maps, shape

    def prior_network(channels: int) -> nn.Module:
        return convnet(channels // 2, [], channels)

    return multi_scale(shape, scales, scale, prior_network)
