"""normflows (Stimper et al. 2023, 2302.12014)."""

from __future__ import annotations

import normflows as nf
import torch
from torch import Tensor, nn

from bench import scales
from bench.candidate import Candidate
from bench.copying import copy_linears, copy_made
from flowbench.core import FlowModel, FlowModule, soft_clamp
from flowbench.layers.actnorm import ActNorm
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.conv1x1 import InvertibleConv1x1
from flowbench.layers.squeeze import Squeeze


class _Coupling(nf.flows.AffineCoupling):
    # With our bound of the scale.
    def forward(self, z: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        kept, changed = z
        shift, log_scale = self._shift_and_scale(kept)
        return [kept, changed * torch.exp(log_scale) + shift], log_scale.flatten(1).sum(1)

    def inverse(self, z: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        kept, changed = z
        shift, log_scale = self._shift_and_scale(kept)
        return [kept, (changed - shift) * torch.exp(-log_scale)], -log_scale.flatten(1).sum(1)

    def _shift_and_scale(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.param_map(kept)
        return outputs[:, 0::2], soft_clamp(outputs[:, 1::2], 3.0)


@torch.no_grad()
def _coupling(network: nn.Module, split_mode: str = "channel") -> nn.Module:
    """Their coupling with a network that has our weights; theirs gives shift and scale of each feature in turn."""
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    for parameter in (last.weight, last.bias):
        log_scale, shift = parameter.clone().chunk(2)
        parameter.copy_(torch.stack((shift, log_scale), 1).flatten(0, 1))
    block = nf.flows.AffineCouplingBlock(network, split_mode=split_mode)
    block.flows[1] = _Coupling(network)
    # A map from data to latent is an inverse here, so that its scale has the other sign.
    return _Swapped(block)


class _Autoregressive(nf.flows.MaskedAffineAutoregressive):
    # Ours divides by the scale after the shift. Theirs calls `inverse` what takes long.
    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = soft_clamp(log_scale, 3.0)
        return (inputs - shift) * torch.exp(-log_scale), -log_scale.sum(1)

    def _elementwise_inverse(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = self._unconstrained_scale_and_shift(autoregressive_params)
        log_scale = soft_clamp(log_scale, 3.0)
        return inputs * torch.exp(log_scale) + shift, log_scale.sum(1)


class _Swapped(nf.flows.Flow):
    """The two directions of a map exchanged."""

    def __init__(self, flow: nf.flows.Flow):
        super().__init__()
        self.flow = flow

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(z)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.flow(z)


class _Squeeze(nf.flows.Squeeze):
    # The channels in our order.
    def forward(self, z: Tensor) -> tuple[Tensor, float]:
        batch, channels, height, width = z.shape
        blocks = z.view(batch, 2, 2, channels // 4, height, width).permute(0, 3, 4, 1, 5, 2).contiguous()
        return blocks.view(batch, channels // 4, 2 * height, 2 * width), 0

    def inverse(self, z: Tensor) -> tuple[Tensor, float]:
        batch, channels, height, width = z.shape
        blocks = z.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4).contiguous()
        return blocks.view(batch, 4 * channels, height // 2, width // 2), 0


class _Reverse(nf.flows.Flow):
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.flip(1), z.new_zeros(len(z))

    inverse = forward


def realnvp(ours: FlowModel) -> Candidate:
    """Couplings of the halves of a vector, with perceptrons; theirs run from latent to data."""
    maps: list[nn.Module] = []
    for layer in ours.modules():
        if isinstance(layer, AffineCoupling):
            linears = [linear for linear in layer.network if isinstance(linear, nn.Linear)]
            sizes = [linears[0].in_features, *(linear.out_features for linear in linears)]
            network = nf.nets.MLP(sizes, init_zeros=True)
            copy_linears(layer.network, [linear for linear in network.net if isinstance(linear, nn.Linear)])
            split = "channel_inv" if layer.swap else "channel"
            maps.append(_coupling(network, split))
    return _density(maps[::-1], ours.event_shape[0])


def maf(ours: FlowModel) -> Candidate:
    """Autoregressive maps, with the order reversed between them."""
    return _density(_autoregressive(ours, _Swapped), ours.event_shape[0])


def iaf(ours: FlowModel) -> Candidate:
    """Those in the other direction."""
    return _density(_autoregressive(ours, lambda flow: flow), ours.event_shape[0])


def glow(ours: FlowModel) -> Candidate:
    """The parts of their `GlowBlock` at several scales."""
    return scales.density(ours, _image_map, encode="inverse", decode="forward")


@torch.no_grad()
def _image_map(layer: FlowModule) -> nn.Module:
    """Their version of one of our maps of images."""
    if isinstance(layer, Squeeze):
        return _Squeeze()
    if isinstance(layer, ActNorm):
        norm = nf.flows.ActNorm((layer.shape[0], 1, 1))
        norm.s.copy_(-layer.log_scale[None])
        norm.t.copy_(-layer.bias[None])
        norm.data_dep_init_done.fill_(1.0)
        return norm
    if isinstance(layer, InvertibleConv1x1):
        conv = nf.flows.Invertible1x1Conv(len(layer.log_scale), use_lu=True)
        conv.P.copy_(layer.permutation)
        conv.sign_S.copy_(layer.sign)
        conv.L.copy_(layer.lower)
        conv.U.copy_(layer.upper)
        conv.log_S.copy_(layer.log_scale)
        return conv
    assert isinstance(layer, AffineCoupling)
    convolutions = [conv for conv in layer.network if isinstance(conv, nn.Conv2d)]
    channels = [convolutions[0].in_channels, *(conv.out_channels for conv in convolutions)]
    network = nf.nets.ConvNet2d(channels, [conv.kernel_size[0] for conv in convolutions])
    copy_linears(layer.network, [conv for conv in network.net if isinstance(conv, nn.Conv2d)])
    return _coupling(network)


def _autoregressive(ours: FlowModel, direction) -> list[nn.Module]:
    dims = ours.event_shape[0]
    maps: list[nn.Module] = []
    for layer in ours.modules():
        if isinstance(layer, MaskedAutoregressive):
            hidden = [linear.out_features for linear in layer.network.layers]
            theirs = _Autoregressive(dims, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False)
            net = theirs.autoregressive_net
            masked = [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer]
            copy_made(layer.network, masked)
            net.initial_layer = nn.Sequential(net.initial_layer, nn.ReLU())  # theirs has none there
            maps += [direction(theirs), _Reverse()]
    return maps[::-1]


def _density(maps: list[nn.Module], dims: int) -> Candidate:
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dims, trainable=False), maps)
    return Candidate.density(flow, flow.log_prob, lambda n: flow.sample(n)[0])
