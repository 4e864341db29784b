"""flow_matching (Lipman et al. 2024, 2412.06264), and the equation that it solves with torchdiffeq."""

from __future__ import annotations

import copy

import torch
from flow_matching.solver import ODESolver
from flow_matching.utils import ModelWrapper
from torch import Tensor

from bench.candidate import Candidate, log_standard_normal
from flowbench.core import FlowModel


class _Field(ModelWrapper):
    def forward(self, x: Tensor, t: Tensor, **extras) -> Tensor:
        return self.model(t, x)


def equation(ours: FlowModel) -> Candidate:
    """Solutions of one equation with one field, by the same method to the same tolerance; exact divergences."""
    field = copy.deepcopy(ours.flow.field)
    solver, tolerance = ODESolver(_Field(field)), ours.flow.tolerance
    options = {"step_size": None, "method": "dopri5", "atol": tolerance, "rtol": tolerance}

    def log_prob(x: Tensor) -> Tensor:
        return solver.compute_likelihood(x, log_standard_normal, exact_divergence=True, **options)[1]

    def sample(n: int) -> Tensor:
        return solver.sample(torch.randn(n, *ours.event_shape), **options)

    return Candidate.density(field, log_prob, sample)
