"""CNF: continuous normalizing flow (Chen et al. 2018, 1806.07366; Grathwohl et al. 2019, 1810.01367)."""

from __future__ import annotations

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import Alpha, latent, preprocessing
from flowbench.flows._continuous import ContinuousModel, Hidden, Probes, Tolerance
from flowbench.layers.continuous import ContinuousFlow
from flowbench.networks.field import PerceptronField


def build(
    event: Event,
    *,
    hidden: Hidden,
    frequencies: PositiveInt = 2,
    tolerance: Tolerance = 1e-5,
    max_evaluations: PositiveInt = 2000,
    probes: Probes | None = None,
    logit: Alpha = None,
) -> FlowModel:
    """One differential equation with a perceptron as its vector field, learnt by likelihood through the solver.

    Args:
        hidden: sizes of the hidden layers of the field's perceptron.
        frequencies: of the sines and cosines by which time enters the field.
        tolerance: of the solver, in training and in evaluation.
        max_evaluations: of the field in one solution; a solution that needs more fails.
        probes: of Hutchinson's estimate of the divergence, at least two; null for the exact one, whose
            cost grows with D.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), hidden=[8])
        >>> model.log_prob(torch.randn(7, 2)).shape, model.sample(3).shape
        (torch.Size([7]), torch.Size([3, 2]))
    """
    dequantise, before = preprocessing(event, logit)
    field = PerceptronField(event.dims, hidden, frequencies)
    flow = ContinuousFlow(field, tolerance=tolerance, max_evaluations=max_evaluations, probes=probes)
    return ContinuousModel(before, flow, [], latent(event), dequantise)
