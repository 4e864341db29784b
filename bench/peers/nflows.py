"""nflows (Durkan et al. 2020)."""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP
from nflows.transforms import (
    ActNorm,
    AffineCouplingTransform,
    CompositeTransform,
    InverseTransform,
    LULinear,
    MaskedAffineAutoregressiveTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    OneByOneConvolution,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
    SqueezeTransform,
)
from torch import Tensor, nn
from torch.nn.functional import relu

from bench import scales
from bench.candidate import Candidate
from bench.copying import NEUTRAL_SLOPE, copy_linears, copy_made
from flowbench.core import FlowModel, FlowModule, soft_clamp
from flowbench.layers._univariate import RationalQuadratic
from flowbench.layers.actnorm import ActNorm as OurActNorm
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.conv1x1 import InvertibleConv1x1
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.spline_coupling import SplineCoupling
from flowbench.layers.squeeze import Squeeze


class _Perceptron(MLP):
    # Couplings pass a context, which their perceptron does not take.
    def forward(self, inputs: Tensor, context: None = None) -> Tensor:
        return super().forward(inputs)


class _Coupling(AffineCouplingTransform):
    def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = transform_params.chunk(2, 1)
        return torch.exp(soft_clamp(log_scale, 3.0)), shift


class _Squeeze(SqueezeTransform):
    # The channels in our order.
    def forward(self, inputs: Tensor, context: None = None) -> tuple[Tensor, Tensor]:
        batch, channels, height, width = inputs.shape
        blocks = inputs.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4).contiguous()
        return blocks.view(batch, 4 * channels, height // 2, width // 2), inputs.new_zeros(batch)

    def inverse(self, inputs: Tensor, context: None = None) -> tuple[Tensor, Tensor]:
        batch, channels, height, width = inputs.shape
        blocks = inputs.view(batch, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2).contiguous()
        return blocks.view(batch, channels // 4, 2 * height, 2 * width), inputs.new_zeros(batch)


class _WithoutContext(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, context: None = None) -> Tensor:
        return self.network(inputs)


class _Autoregressive(MaskedAffineAutoregressiveTransform):
    # Ours divides by the scale after the shift.
    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = soft_clamp(log_scale, 3.0)
        return (inputs - shift) * torch.exp(-log_scale), -log_scale.sum(1)

    def _elementwise_inverse(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = soft_clamp(log_scale, 3.0)
        return inputs * torch.exp(log_scale) + shift, log_scale.sum(1)


def realnvp(ours: FlowModel) -> Candidate:
    """Couplings of the halves of a vector, with perceptrons."""
    dims = ours.event_shape[0]
    layers = [layer for layer in ours.modules() if isinstance(layer, AffineCoupling)]
    return _density([_coupling(layer, dims, _Coupling) for layer in layers], dims)


def nsf(ours: FlowModel) -> Candidate:
    """Splines of the halves of a vector, with a linear map before each layer."""
    dims, maps = ours.event_shape[0], []
    for layer in ours.modules():
        if isinstance(layer, InvertibleLinear):
            maps.append(_linear(layer, LULinear(dims)))
        elif isinstance(layer, SplineCoupling):
            coupling = _coupling(layer, dims, PiecewiseRationalQuadraticCouplingTransform, **_spline(layer.spline))
            _start_slopes(coupling.transform_net._output_layer.bias, layer.spline)
            maps.append(coupling)
    return _density(maps, dims)


def nsf_autoregressive(ours: FlowModel) -> Candidate:
    """Splines of each feature that depend on those before it, with a linear map before each layer."""
    dims, maps = ours.event_shape[0], []
    for layer in ours.modules():
        if isinstance(layer, InvertibleLinear):
            maps.append(_linear(layer, LULinear(dims)))
        elif isinstance(layer, MaskedAutoregressive):
            kind = MaskedPiecewiseRationalQuadraticAutoregressiveTransform
            maps.append(_autoregressive(layer, dims, kind, **_spline(layer.univariate)))
            _start_slopes(maps[-1].autoregressive_net.final_layer.bias, layer.univariate)
    return _density(maps, dims)


def maf(ours: FlowModel) -> Candidate:
    """Autoregressive maps, with the order reversed between them."""
    return _density(_reversed_between(ours), ours.event_shape[0])


def iaf(ours: FlowModel) -> Candidate:
    """Those in the other direction."""
    maps = [InverseTransform(m) if isinstance(m, _Autoregressive) else m for m in _reversed_between(ours)]
    return _density(maps, ours.event_shape[0])


def glow(ours: FlowModel) -> Candidate:
    """ActNorm, 1×1 convolution and coupling at several scales; the library leaves the couplings' networks to its user.

    Its convolution has a bias, and keeps no more than the triangles of its matrices, so it learns fewer parameters.
    """
    return scales.density(ours, _image_map, encode="forward", decode="inverse")


@torch.no_grad()
def _image_map(layer: FlowModule) -> nn.Module:
    """Their version of one of our maps of images."""
    if isinstance(layer, Squeeze):
        return _Squeeze()
    if isinstance(layer, OurActNorm):
        norm = ActNorm(layer.shape[0])
        norm.log_scale.copy_(layer.log_scale.flatten())
        norm.shift.copy_((layer.bias * layer.log_scale.exp()).flatten())
        norm.initialized.fill_(True)
        return norm
    if isinstance(layer, InvertibleConv1x1):
        conv = OneByOneConvolution(len(layer.log_scale))
        conv.permutation._permutation.copy_(torch.arange(len(layer.log_scale)))
        return _linear(layer, conv)
    assert isinstance(layer, AffineCoupling)
    half = next(conv for conv in layer.network if isinstance(conv, nn.Conv2d)).in_channels
    mask = torch.arange(2 * half) >= half
    return _Coupling(mask.int(), lambda inputs, outputs: _WithoutContext(scales.network(layer.network)))


@torch.no_grad()
def _linear(ours: InvertibleLinear, theirs: LULinear) -> LULinear:
    theirs.lower_entries.copy_(ours.lower[theirs.lower_indices])
    theirs.upper_entries.copy_(ours.upper[theirs.upper_indices])
    theirs.unconstrained_upper_diag.copy_((ours.log_scale.exp() - theirs.eps).expm1().log())  # of a softplus
    return theirs


def _coupling(ours: AffineCoupling | SplineCoupling, dims: int, kind: type[nn.Module], **options) -> nn.Module:
    mask = torch.arange(dims) < dims // 2 if ours.swap else torch.arange(dims) >= dims // 2
    hidden = [linear.out_features for linear in ours.network if isinstance(linear, nn.Linear)][:-1]

    def network(inputs: int, outputs: int) -> nn.Module:
        return _Perceptron([inputs], [outputs], hidden, activation=relu)

    theirs = kind(mask.int(), network, **options)
    net = theirs.transform_net
    copy_linears(ours.network, [net._input_layer, *net._hidden_layers, net._output_layer])
    return theirs


def _autoregressive(ours: MaskedAutoregressive, dims: int, kind: type[nn.Module], **options) -> nn.Module:
    hidden = [linear.out_features for linear in ours.network.layers]
    theirs = kind(dims, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False, **options)
    net = theirs.autoregressive_net
    copy_made(ours.network, [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer])
    return theirs


def _reversed_between(ours: FlowModel) -> list[nn.Module]:
    dims, maps = ours.event_shape[0], []
    for layer in (layer for layer in ours.modules() if isinstance(layer, MaskedAutoregressive)):
        maps += [_autoregressive(layer, dims, _Autoregressive), ReversePermutation(dims)]
    return maps


def _spline(ours: RationalQuadratic) -> dict[str, object]:
    return {"num_bins": ours.bins, "tails": "linear", "tail_bound": ours.bound}


@torch.no_grad()
def _start_slopes(bias: Tensor, spline: RationalQuadratic) -> None:
    """Ours adds the number at which a slope is one; theirs leaves it to the network."""
    bias.unflatten(0, (-1, spline.parameters))[:, 2 * spline.bins :] += NEUTRAL_SLOPE


def _density(maps: list[nn.Module], dims: int) -> Candidate:
    flow = Flow(CompositeTransform(maps), StandardNormal([dims]))
    return Candidate.density(flow, flow.log_prob, flow.sample)
