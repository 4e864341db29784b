"""zuko (Rozet et al. 2022)."""

from __future__ import annotations

from functools import partial

import torch
import zuko
from torch import Tensor, nn
from torch.distributions import Transform, constraints
from torch.nn.functional import pad, softplus
from zuko.flows import Flow, UnconditionalDistribution
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.lazy import UnconditionalTransform
from zuko.transforms import LULinearTransform, MonotonicRQSTransform

from bench.candidate import Candidate
from bench.copying import NEUTRAL_SLOPE, copy_linears, copy_made
from flowbench.core import FlowModel, soft_clamp
from flowbench.layers._univariate import RationalQuadratic
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.layers.autoregressive import MaskedAutoregressive
from flowbench.layers.linear import InvertibleLinear
from flowbench.layers.spline_coupling import SplineCoupling


class _Affine(Transform):
    """Our affine map of single numbers, in the form of their `MonotonicAffineTransform`."""

    domain = codomain = constraints.real
    bijective, sign = True, 1

    def __init__(self, log_scale: Tensor, shift: Tensor, **options):
        super().__init__(**options)
        self.log_scale, self.shift = soft_clamp(log_scale, 3.0), shift

    def _call(self, x: Tensor) -> Tensor:
        return x * self.log_scale.exp() + self.shift

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.shift) * (-self.log_scale).exp()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.log_scale


class _Back(_Affine):
    """Its inverse, which our autoregressive maps apply to data."""

    def _call(self, x: Tensor) -> Tensor:
        return (x - self.shift) * (-self.log_scale).exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y * self.log_scale.exp() + self.shift

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.log_scale


class _Spline(MonotonicRQSTransform):
    """Their spline through our knots, which have a least distance and a least slope in the place of bounds."""

    def __init__(self, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float):
        Transform.__init__(self)
        spline = RationalQuadratic(widths.shape[-1], bound)
        self.horizontal, self.vertical = spline._knots(widths), spline._knots(heights)
        self.derivatives = pad(softplus(slopes + NEUTRAL_SLOPE) + 1e-3, (1, 1), value=1.0)


def realnvp(ours: FlowModel) -> Candidate:
    """Couplings of the halves of a vector, with perceptrons."""
    dims, maps = ours.event_shape[0], []
    for layer in (layer for layer in ours.modules() if isinstance(layer, AffineCoupling)):
        if dims != 2:
            raise NotImplementedError("the outputs of a coupling stand in another order")
        kept = torch.arange(dims) >= dims // 2 if layer.swap else torch.arange(dims) < dims // 2
        hidden = [linear.out_features for linear in layer.network if isinstance(linear, nn.Linear)][:-1]
        theirs = GeneralCouplingTransform(dims, mask=kept, univariate=_Affine, hidden_features=hidden)
        copy_linears(layer.network, [linear for linear in theirs.hyper if isinstance(linear, zuko.nn.Linear)])
        maps.append(theirs)
    return _density(maps, dims)


def maf(ours: FlowModel) -> Candidate:
    """Autoregressive maps in the given order and in the reverse one, in turn."""
    dims, maps = ours.event_shape[0], []
    for i, layer in enumerate(layer for layer in ours.modules() if isinstance(layer, MaskedAutoregressive)):
        order = torch.arange(dims).flip(0) if i % 2 else torch.arange(dims)
        hidden = [linear.out_features for linear in layer.network.layers]
        theirs = MaskedAutoregressiveTransform(dims, order=order, univariate=_Back, hidden_features=hidden)
        linears = [linear for linear in theirs.hyper if isinstance(linear, nn.Linear)]
        copy_made(layer.network, linears, reverse=i % 2 == 1)
        maps.append(theirs)
    return _density(maps, dims)


def nsf(ours: FlowModel) -> Candidate:
    """Splines of the halves of a vector, with a linear map before each layer."""
    dims, maps = ours.event_shape[0], []
    for layer in ours.modules():
        if isinstance(layer, InvertibleLinear):
            maps.append(_linear(layer))
        elif isinstance(layer, SplineCoupling):
            kept = torch.arange(dims) >= dims // 2 if layer.swap else torch.arange(dims) < dims // 2
            hidden = [linear.out_features for linear in layer.network if isinstance(linear, nn.Linear)][:-1]
            theirs = GeneralCouplingTransform(dims, mask=kept, hidden_features=hidden, **_splines(layer.spline))
            copy_linears(layer.network, [linear for linear in theirs.hyper if isinstance(linear, zuko.nn.Linear)])
            maps.append(theirs)
    return _density(maps, dims)


def nsf_autoregressive(ours: FlowModel) -> Candidate:
    """Splines of each feature that depend on those before it, with a linear map before each layer."""
    dims, maps = ours.event_shape[0], []
    for layer in ours.modules():
        if isinstance(layer, InvertibleLinear):
            maps.append(_linear(layer))
        elif isinstance(layer, MaskedAutoregressive):
            hidden = [linear.out_features for linear in layer.network.layers]
            theirs = MaskedAutoregressiveTransform(dims, hidden_features=hidden, **_splines(layer.univariate))
            copy_made(layer.network, [linear for linear in theirs.hyper if isinstance(linear, nn.Linear)])
            maps.append(theirs)
    return _density(maps, dims)


def _splines(ours: RationalQuadratic) -> dict[str, object]:
    shapes = ((ours.bins,), (ours.bins,), (ours.bins - 1,))
    return {"univariate": partial(_Spline, bound=ours.bound), "shapes": shapes}


@torch.no_grad()
def _linear(ours: InvertibleLinear) -> nn.Module:
    """L (U + diag(s)); theirs has the diagonal in the lower triangle."""
    scale = ours.log_scale.exp()
    lower = (ours.lower.tril(-1) + ours.identity) * scale
    return UnconditionalTransform(LULinearTransform, lower + ours.upper.triu(1) / scale[:, None])


def _density(maps: list[nn.Module], dims: int) -> Candidate:
    base = UnconditionalDistribution(
        zuko.distributions.DiagNormal, loc=torch.zeros(dims), scale=torch.ones(dims), buffer=True
    )
    flow = Flow(maps, base)
    return Candidate.density(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))
