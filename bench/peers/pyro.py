"""Pyro (Bingham et al. 2019), whose transforms run from latent to data."""

from __future__ import annotations

import pyro.distributions as dist
import pyro.distributions.transforms as transforms
import torch
from pyro.nn import DenseNN
from torch import Tensor, nn

from bench.candidate import Candidate
from bench.copying import copy_linears
from flowbench.core import FlowModel, soft_clamp
from flowbench.layers.affine_coupling import AffineCoupling


class _Network(DenseNN):
    # Ours gives the scale first, with a soft bound; theirs is hard, and wider.
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift = super().forward(x)
        return shift, soft_clamp(log_scale, 3.0)


def realnvp(ours: FlowModel) -> Candidate:
    """Couplings of the halves of a vector, exchanged after each."""
    dims = ours.event_shape[0]
    if dims % 2:
        raise NotImplementedError("halves of one size are exchanged")
    half, maps, couplings = dims // 2, [], nn.ModuleList()
    for layer in (layer for layer in ours.modules() if isinstance(layer, AffineCoupling)):
        hidden = [linear.out_features for linear in layer.network if isinstance(linear, nn.Linear)][:-1]
        coupling = transforms.AffineCoupling(half, _Network(half, hidden, param_dims=[half, half]))
        copy_linears(layer.network, coupling.nn.layers)
        couplings.append(coupling)
        maps += [coupling.inv, transforms.Permute(torch.arange(dims).roll(half))]
    base = dist.Normal(torch.zeros(dims), torch.ones(dims)).to_event(1)
    flow = dist.TransformedDistribution(base, maps[::-1])

    def log_prob(x: Tensor) -> Tensor:
        flow.clear_cache()  # or the density of the same tensor would be looked up
        return flow.log_prob(x)

    return Candidate.density(couplings, log_prob, lambda n: flow.sample((n,)))
