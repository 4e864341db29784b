"""torchcfm (Tong et al. 2024, 2302.00482)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher, ExactOptimalTransportConditionalFlowMatcher

from bench.candidate import Candidate
from flowbench.core import FlowModel


def cfm(ours: FlowModel) -> Candidate:
    """Flow matching with the independent coupling. The field is ours: the library leaves it to its user."""
    return _matching(ours, ConditionalFlowMatcher(sigma=0.0))


def ot_cfm(ours: FlowModel) -> Candidate:
    """Flow matching with optimal transport within the minibatch."""
    return _matching(ours, ExactOptimalTransportConditionalFlowMatcher(sigma=0.0))


def _matching(ours: FlowModel, matcher: ConditionalFlowMatcher) -> Candidate:
    field = copy.deepcopy(ours.flow.field)

    def loss(x1: Tensor) -> Tensor:
        t, x, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        return (field(t, x) - velocity).square().mean()

    return Candidate(field, loss)
