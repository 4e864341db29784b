"""RealNVP: real-valued non-volume-preserving flow (Dinh et al. 2017, 1605.08803)."""

from __future__ import annotations

from typing import Literal

from torch import nn

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha
from flowbench.flows._images import Shape, image_flow, multi_scale
from flowbench.flows._labelled import Condition, classes_of, row_flow
from flowbench.layers._parts import coupling_parts
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.checkerboard_coupling import CheckerboardCoupling
from flowbench.layers.flatten import Flatten
from flowbench.layers.squeeze import Squeeze
from flowbench.networks.conv import ResNet, convnet
from flowbench.networks.mlp import mlp
from flowbench.networks.side_by_side import Networks, scale_and_shift


def build(
    event: Event,
    *,
    architecture: Literal["vector", "convolutional", "multi-scale"] = "vector",
    layers: PositiveInt = 8,
    hidden: list[PositiveInt],
    networks: Networks = "joint",
    scales: PositiveInt | None = None,
    logit: Alpha = None,
    condition: Condition = None,
) -> FlowModel:
    """Affine couplings that change the two parts of the data in turn.

    Args:
        architecture: ``vector``: couplings of the halves of a vector, with perceptrons. ``convolutional``: couplings
            of the halves of a squeezed image's channels, with plain convolutions and a scale that tanh bounds.
            ``multi-scale``: the paper's, with checkerboard and then channel couplings at each scale and residual
            networks; ActNorm stands where the paper has batch normalisation.
        layers: number of couplings; in the multi-scale architecture, of each kind at each scale (3 in the paper).
        hidden: sizes of the hidden layers of each coupling's network; in the multi-scale architecture the channels
            of each residual block, which must be the same.
        networks: whether one network gives scale and shift, or each has its own.
        scales: only for the multi-scale architecture (2 in the paper for CIFAR-10).
        logit: α of the logit that integer data passes first (0.05 in the paper); null for none.
        condition: ``label``, only for the vector architecture: a density for each class, of which the flow is the
            mixture with the classes' frequencies; null for one density that knows of no labels.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), layers=2, hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    if (scales is None) == (architecture == "multi-scale"):
        raise ValueError("scales are for the multi-scale architecture, which needs them")
    if architecture == "vector":
        classes = classes_of(event, condition)
        return row_flow(event, _vector(event, layers, hidden, networks, classes), classes, logit=logit)
    if condition:
        raise ValueError("condition is for the vector architecture")
    if architecture == "convolutional":
        return image_flow(event, lambda shape: _convolutional(shape, layers, hidden, networks), logit=logit)
    return image_flow(event, lambda shape: _multi_scale(shape, scales or 1, layers, hidden, networks), logit=logit)


def _vector(event: Event, layers: int, hidden: list[int], networks: Networks, classes: int) -> list[FlowModule]:
    maps: list[FlowModule] = []
    for i in range(layers):
        swap = i % 2 == 1
        kept, changed = coupling_parts(event.dims, swap)
        network = scale_and_shift(mlp, classes + kept, hidden, changed, networks)
        maps.append(AffineCoupling(network, swap=swap, context=classes))
    return maps


def _convolutional(shape: Shape, layers: int, hidden: list[int], networks: Networks) -> list[FlowModule]:
    squeeze = Squeeze(shape)
    shape = squeeze.latent_shape
    # Data in the unit interval would need scales that the bound does not allow.
    maps: list[FlowModule] = [squeeze, ActNorm(shape)]
    for i in range(layers):
        half = shape[0] // 2
        network = scale_and_shift(convnet, half, hidden, half, networks)
        maps.append(AffineCoupling(network, swap=i % 2 == 1, scale_limit=1.0))
    return [*maps, Flatten(shape)]


def _multi_scale(shape: Shape, scales: int, layers: int, hidden: list[int], networks: Networks) -> list[FlowModule]:
    if len(set(hidden)) != 1:
        raise ValueError(f"the residual blocks need the same number of channels, got {hidden}")

    def resnet(inputs: int, hidden: list[int], outputs: int) -> ResNet:
        return ResNet(inputs, hidden[0], len(hidden), outputs)

    def network(channels: int) -> nn.Module:
        return scale_and_shift(resnet, channels, hidden, channels, networks)

    def scale(shape: Shape, last: bool) -> tuple[list[FlowModule], Shape]:
        channels = shape[0]
        maps: list[FlowModule] = []
        # The last scale has one more coupling and is not squeezed.
        for i in range(layers + last):
            maps += [ActNorm(shape), CheckerboardCoupling(network(channels), shape, swap=i % 2 == 1)]
        if last:
            return [*maps, ActNorm(shape)], shape
        squeeze = Squeeze(shape)
        maps.append(squeeze)
        shape = squeeze.latent_shape
        half = shape[0] // 2
        for i in range(layers):
            maps += [ActNorm(shape), AffineCoupling(network(half), swap=i % 2 == 1)]
        return maps, shape

    return multi_scale(shape, scales, scale, lambda channels: None)
