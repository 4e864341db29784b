"""Flow matching (Lipman et al. 2023, 2210.02747; Tong et al. 2024, 2302.00482)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor

from flowbench.config import NonNegativeFloat, PositiveInt, Within
from flowbench.core import Event, FlowModel, FlowModule
from flowbench.flows._assembly import Alpha, dequantisation
from flowbench.flows._continuous import ContinuousModel, Hidden, Probes, Tolerance
from flowbench.flows._coupling import independent, optimal_transport
from flowbench.flows._labelled import Condition, Labelled, classes_of, row_latent, row_preprocessing
from flowbench.flows._paths import PATHS, PathName, spread_times
from flowbench.layers.centre import Centre
from flowbench.layers.continuous import ContinuousFlow
from flowbench.layers.flatten import Flatten
from flowbench.networks.field import PerceptronField, VectorField
from flowbench.networks.unet import UNetField


class FlowMatching(ContinuousModel):
    """A continuous flow whose field learns the velocities of paths between latents and data, by regression."""

    loss_unit = "squared error of velocities"

    def __init__(self, *parts, path: PathName, sigma: float, couple: Callable[[Tensor, Tensor], Tensor], **options):
        super().__init__(*parts, **options)
        self._path, self._sigma, self._couple = PATHS[path], sigma, couple

    def loss(self, batch: Tensor) -> Tensor:
        """Mean of (v(t, x_t) - u_t)² over t, the pairs of the coupling and all dimensions."""
        x1 = self.end(batch)
        x0 = self.start(self._draw(len(batch), None))
        return self.regression(x0, self._couple(x0, x1), self.flow.field)

    def regression(self, x0: Tensor, x1: Tensor, field: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The loss of a field v(t, x) on pairs ``(batch, *event)`` of the coupling."""
        t = spread_times(len(x1), x1.device)
        x, velocity = self._path(x0, x1, t.view(-1, *[1] * (x1.dim() - 1)), self._sigma)
        return (field(t, x).to(x.dtype) - velocity).square().mean()


class LabelledFlowMatching(Labelled, FlowMatching):
    """Flow matching whose field knows the label: paths between latents and the data of each class."""

    loss_unit = "squared error of velocities given the label"

    def loss(self, batch: Tensor) -> Tensor:
        """As of flow matching, on rows with labels ``(batch, D + 1)``; a path moves the features alone."""
        end, start = self.approach(self.rows(batch)[0]), self.start(self._draw(len(batch), None))
        label, x1, x0 = end[:, : self.classes], end[:, self.classes :], start[:, self.classes :]

        def field(t: Tensor, x: Tensor) -> Tensor:
            return self.flow.field(t, torch.cat((label, x), 1))[:, self.classes :]

        return self.regression(x0, x1, field)


def build(
    event: Event,
    *,
    path: PathName = "linear",
    coupling: Literal["independent", "optimal-transport"] = "independent",
    sigma: NonNegativeFloat = 0.0,
    coupled_at_once: PositiveInt | None = None,
    architecture: Literal["vector", "unet"] = "vector",
    hidden: Hidden | None = None,
    frequencies: PositiveInt = 2,
    channels: PositiveInt = 32,
    multipliers: Annotated[list[PositiveInt], Within(min_length=1)] | None = None,
    blocks: PositiveInt = 1,
    attention: list[PositiveInt] | None = None,
    tolerance: Tolerance = 1e-5,
    max_evaluations: PositiveInt = 2000,
    probes: Probes | None = None,
    logit: Alpha = None,
    condition: Condition = None,
) -> FlowModel:
    """One differential equation whose field is learnt without solving it.

    Args:
        path: between a latent and data. ``conditional``: Lipman's, straight towards a Gaussian of width ``sigma``
            about the data. ``linear``: Tong's, a straight tube of width ``sigma``; with the independent coupling it is
            I-CFM, with optimal transport OT-CFM. ``diffusion``: the variance-preserving diffusion's.
        coupling: which latent goes with which data: any, or by exact optimal transport within the minibatch.
        sigma: width of the path, in the units of standardised data; the diffusion's has none.
        coupled_at_once: pairs in one optimal transport plan; a training batch may hold several plans, and a smaller
            batch has one. Null for one plan of the whole batch, in training and in validation.
        architecture: of the field. ``vector``: a perceptron. ``unet``: a U-Net on images, which pass no logit and lie
            between -1 and 1.
        hidden, frequencies: of the perceptron: sizes of its hidden layers, and of the sines and cosines of time.
        channels, multipliers, blocks, attention: of the U-Net: channels at the full resolution, their multiple at each
            resolution, residual blocks at each, and the heights in pixels that have attention.
        tolerance: of the solver, in evaluation.
        max_evaluations: of the field in one solution; a solution that needs more fails.
        probes: of Hutchinson's estimate of the divergence, at least two; null for the exact one.
        logit: α of the logit that integer data passes first; null for none.
        condition: ``label``, only for the vector architecture with the independent coupling: a density for each class,
            of which the flow is the mixture with the classes' frequencies; null for one density.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), hidden=[8], coupling="optimal-transport")
        >>> x = torch.randn(7, 2)
        >>> model.loss(x).shape, model.log_prob(x).shape, model.sample(3).shape
        (torch.Size([]), torch.Size([7]), torch.Size([3, 2]))
    """
    unet = architecture == "unet"
    if (hidden is None) != unet or (multipliers is None) == unet:
        raise ValueError("hidden is for architecture vector, and multipliers for architecture unet; each needs its own")
    if path == "diffusion" and sigma:
        raise ValueError("sigma is the width of a conditional or linear path; the diffusion's has none to choose")
    if coupled_at_once and coupling == "independent":
        raise ValueError("coupled_at_once is for coupling optimal-transport")
    if condition and (unet or coupling != "independent"):
        raise ValueError("condition is for architecture vector with coupling independent")
    classes = classes_of(event, condition)
    after: list[FlowModule] = []
    field: VectorField
    if hidden is not None:
        dequantise, before = row_preprocessing(event, logit, classes)
        field = PerceptronField(event.dims, hidden, frequencies, context=classes)
    else:
        dequantise, before = dequantisation(event, logit)
        before.append(Centre())
        field = UNetField(
            event.shape, channels=channels, multipliers=multipliers or (), blocks=blocks, attention=attention or ()
        )
        after = [Flatten(event.shape)]

    couple = independent if coupling == "independent" else partial(optimal_transport, batch=coupled_at_once)
    flow = ContinuousFlow(field, tolerance=tolerance, max_evaluations=max_evaluations, probes=probes)
    kind, prior = LabelledFlowMatching if classes else FlowMatching, row_latent(event, classes)
    return kind(before, flow, after, prior, dequantise, path=path, sigma=sigma, couple=couple)
