"""FrEIA (Ardizzone et al. 2018)."""

from __future__ import annotations

import FrEIA.framework as framework
import FrEIA.modules as modules
import torch
from torch import nn

from bench.candidate import Candidate, log_standard_normal
from bench.copying import copy_linears
from flowbench.core import FlowModel
from flowbench.layers.affine_coupling import AffineCoupling
from flowbench.networks.mlp import mlp


def realnvp(ours: FlowModel) -> Candidate:
    """Couplings of the halves of a vector, exchanged after each; the subnetworks are the user's own."""
    dims = ours.event_shape[0]
    if dims % 2:
        raise NotImplementedError("halves of one size are exchanged")
    flow = framework.SequenceINN(dims)
    for layer in (layer for layer in ours.modules() if isinstance(layer, AffineCoupling)):
        hidden = [linear.out_features for linear in layer.network if isinstance(linear, nn.Linear)][:-1]
        flow.append(
            modules.AffineCouplingOneSided,
            subnet_constructor=lambda inputs, outputs, hidden=hidden: mlp(inputs, hidden, outputs),
            clamp=layer.scale_limit,
            clamp_activation=lambda s, limit=layer.scale_limit: torch.tanh(s / limit),
        )
        subnet = flow.module_list[-1].subnet
        copy_linears(layer.network, [linear for linear in subnet if isinstance(linear, nn.Linear)])
        flow.append(modules.PermuteRandom)
        exchange = torch.arange(dims).roll(dims // 2)
        flow.module_list[-1].perm.data, flow.module_list[-1].perm_inv.data = exchange, exchange.argsort()

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        z, logdet = flow(x)
        return log_standard_normal(z) + logdet

    return Candidate.density(flow, log_prob, lambda n: flow(torch.randn(n, dims), rev=True)[0])
