"""Densities that learn from labels: p(x) = Σ_y p(y) p(x|y), each class with a flow of its own in one network.

The transform maps rows: a label as one-hot numbers, which every map keeps, and the D features behind it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from flowbench.core import Event, FixedPrior, FlowModel, FlowModule, FlowSequential, LabelError, ShapeError
from flowbench.flows._assembly import latent, preprocessing
from flowbench.flows._priors import PriorName
from flowbench.layers.dequantise import Dequantise
from flowbench.layers.on_features import OnFeatures

# What a density of x is made of: ``label`` for one density for each class, ``None`` for one alone.
Condition = Literal["label"] | None


class Labelled(FlowModel):
    """A density of x alone, which learns p(x|y) from labels y. Measuring and sampling it needs no labels.

    Integer data is dequantised by a random step in front of the transform, and the label is chosen there, too: it is
    drawn from p(y|x), and the log-determinant has the term -log p(y|x). So `encode` gives log p(x) exactly, whatever
    the label (Nielsen et al. 2020, 2007.02731, section 3). The frequencies p(y) are those of the training data.

    `initialise` and `loss` take rows ``(batch, D + 1)``: a flattened example and its label, a whole number from 0.
    """

    loss_unit = "nats given the label"

    @property
    def classes(self) -> int:
        return len(self.prior.frequencies)

    def training_events(self, x: Tensor | np.ndarray) -> Tensor:
        """Rows with labels as a tensor ``(batch, D + 1)``; a `ShapeError` if they are not that."""
        x, dims = self.as_tensor(x), self.prior().event_shape[0] - self.classes
        if x.shape[1:] != (dims + 1,):
            raise ShapeError(
                f"a flow with condition: label learns from rows of {dims} numbers and a label, expected events of "
                f"shape {(dims + 1,)}, got {tuple(x.shape[1:])}"
            )
        return x

    def transform_input(self, x: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
        """Rows ``(batch, classes + D)``, whose labels are drawn from p(y|x), and the log-determinant."""
        x, logdet = super().transform_input(x)
        log_posterior = self._log_joint(x.flatten(1)).log_softmax(1)
        gumbel = -torch.empty_like(log_posterior).exponential_().log()
        label = (log_posterior + gumbel).argmax(1)
        return self._row(label, x), logdet - log_posterior.gather(1, label[:, None])[:, 0]

    def log_prob(self, x: Tensor | np.ndarray) -> Tensor:
        """Log-density of data ``(batch, *event)`` in nats per event: ``(batch,)``. It costs a pass for each class."""
        x, logdet = super().transform_input(x)
        return self._log_joint(x.flatten(1)).logsumexp(1) + logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latent to data, whose label is left out, with the log-determinant, which has the term log p(y|x)."""
        rows, logdet = self.transform.decode(z)
        label = rows[:, : self.classes].argmax(1, keepdim=True)
        log_posterior = self._log_joint(rows[:, self.classes :]).log_softmax(1)
        x, logdet = self._features(rows), logdet + log_posterior.gather(1, label)[:, 0]
        if self.dequantise:
            x, term = self.dequantise.decode(x)
            logdet = logdet + term
        return x, logdet

    def finish(self, x: Tensor) -> Tensor:
        return super().finish(self._features(x))

    def warmed(self, z: Tensor, temperature: float) -> Tensor:
        return torch.cat((z[:, : self.classes], temperature * z[:, self.classes :]), 1)

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows, again = super().reconstruct(x)
        return self._features(rows), self._features(again)

    def loss(self, batch: Tensor) -> Tensor:
        """The mean of -log p(x|y) over rows with labels ``(batch, D + 1)``, in nats.

        Raises:
            LabelError: a label names no class, or one that training never saw.
        """
        rows, logdet_of_input = self.rows(batch)
        z, logdet = self.transform.encode(rows)
        return -(self.prior.given_label(z) + logdet + logdet_of_input).mean()

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the frequencies of the classes, and what the maps take from data, from rows with labels."""
        x = self.training_events(x)
        counts = self._labels(x[:, -1], wait=True, of_any_class=True).bincount(minlength=self.classes)
        self.prior.frequencies.copy_(counts / len(x))
        self.transform.initialise(self.rows(x)[0])

    def rows(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """What the transform takes of rows with labels, ``(batch, classes + D)``, and the log-determinant."""
        batch = self.training_events(batch)
        features = batch[:, :-1].reshape(len(batch), *self._shape)
        x, logdet = super().transform_input(features)
        return self._row(self._labels(batch[:, -1], wait=not self.training), x), logdet

    def _labels(self, numbers: Tensor, *, wait: bool, of_any_class: bool = False) -> Tensor:
        """Labels ``(batch,)`` as indices; as `require_levels`, a training step on a GPU does not wait for the check."""
        labels = numbers.long()
        if torch.compiler.is_compiling() or not (wait or numbers.device.type == "cpu"):
            return labels
        wrong = (labels != numbers) | (labels < 0) | (labels >= self.classes)
        if wrong.any():
            raise LabelError(f"expected whole labels from 0 to {self.classes - 1}, got {float(numbers[wrong][0]):g}")
        unseen = self.prior.frequencies[labels] == 0
        if unseen.any() and not of_any_class:
            raise LabelError(f"label {int(labels[unseen][0])}: training never saw an example of this class")
        return labels

    def _log_joint(self, x: Tensor) -> Tensor:
        """log p(x, y) of dequantised data ``(batch, D)`` for each class y, ``(batch, classes)``, in nats."""
        labels = torch.arange(self.classes, device=x.device).repeat(len(x))
        z, logdet = self.transform.encode(self._row(labels, x.repeat_interleave(self.classes, 0)))
        return (self.log_prior(z) + logdet).view(len(x), self.classes)

    def _row(self, labels: Tensor, x: Tensor) -> Tensor:
        one_hot = labels[:, None] == torch.arange(self.classes, device=x.device)
        return torch.cat((one_hot.to(x.dtype), x.flatten(1)), 1)

    def _features(self, rows: Tensor) -> Tensor:
        """Examples ``(batch, *event)`` without their labels."""
        return rows[:, self.classes :].reshape(len(rows), *self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.event_shape or (self.prior().event_shape[0] - self.classes,)


class LabelledPrior(nn.Module):
    """A prior over rows: a one-hot label of known frequency, and latents of its features that do not depend on it.

    Args:
        features: the prior over latents ``(D,)``.
        classes: their number.
    """

    def __init__(self, features: Distribution | nn.Module, classes: int):
        super().__init__()
        self.features = FixedPrior(features) if isinstance(features, Distribution) else features
        self.register_buffer("frequencies", torch.full((classes,), 1 / classes))

    def forward(self) -> Distribution:
        return _WithLabel(self.frequencies, self.features())

    def given_label(self, z: Tensor) -> Tensor:
        """Log-density of the features of latents ``(batch, classes + D)``, ``(batch,)``, in nats."""
        return self.features().log_prob(z[:, len(self.frequencies) :])


class _WithLabel(Distribution):
    """One-hot labels ``(classes,)``, with ``features`` behind them."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(self, frequencies: Tensor, features: Distribution):
        classes = len(frequencies)
        super().__init__(event_shape=torch.Size((classes + features.event_shape[0],)), validate_args=False)
        self.has_rsample = features.has_rsample
        self.frequencies, self.features = frequencies, features

    def sample(self, sample_shape=()) -> Tensor:
        return self._with_label(self.features.sample(sample_shape))

    def rsample(self, sample_shape=()) -> Tensor:
        return self._with_label(self.features.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        classes = len(self.frequencies)
        label = value[..., :classes].argmax(-1)
        return self.frequencies.log()[label] + self.features.log_prob(value[..., classes:])

    def _with_label(self, features: Tensor) -> Tensor:
        # The label comes last, so that flows with and without labels begin with the same latents.
        classes, shape = len(self.frequencies), features.shape[:-1]
        label = torch.multinomial(self.frequencies, shape.numel(), replacement=True).view(shape)
        one_hot = label[..., None] == torch.arange(classes, device=features.device)
        return torch.cat((one_hot.to(features.dtype), features), -1)


def classes_of(event: Event, condition: Condition) -> int:
    """How many classes a flow is conditioned on: none without a condition.

    Raises:
        ShapeError: the data has no labels.
    """
    if condition is None:
        return 0
    if event.classes is None:
        raise ShapeError("condition: label needs data with labels, and these have none")
    return event.classes


def on_features(module: FlowModule, classes: int) -> FlowModule:
    """A map that knows nothing of labels, as it stands in a flow with so many classes; with none, the map itself."""
    return OnFeatures(module, classes) if classes else module


def row_preprocessing(event: Event, logit: float | None, classes: int) -> tuple[Dequantise | None, list[FlowModule]]:
    """`preprocessing`, of rows if there are classes."""
    if not classes:
        return preprocessing(event, logit)
    dequantise, maps = preprocessing(replace(event, shape=(event.dims,)), logit)
    return dequantise, [OnFeatures(module, classes) for module in maps]


def row_latent(
    event: Event, classes: int, prior_name: PriorName = "normal", chosen: str | None = None
) -> Distribution | nn.Module:
    """`latent`, of rows if there are classes."""
    features = latent(event, prior_name, chosen)
    return LabelledPrior(features, classes) if classes else features


def row_flow(
    event: Event,
    layers: list[FlowModule],
    classes: int,
    *,
    logit: float | None,
    prior_name: PriorName = "normal",
    chosen: str | None = None,
) -> FlowModel:
    """`vector_flow`, of rows if there are classes."""
    dequantise, before = row_preprocessing(event, logit, classes)
    kind = Labelled if classes else FlowModel
    return kind(FlowSequential(*before, *layers), row_latent(event, classes, prior_name, chosen), dequantise=dequantise)
