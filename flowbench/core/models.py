"""Densities and generators: a map from data to latent, and a prior over the latent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowbench.core.maps import FlowModule
from flowbench.core.tensors import constant_logdet, require_shape
from flowbench.runtime.seeding import seeded

Likelihood = Literal["exact", "estimate", "bound", "none"]


class FixedPrior(nn.Module):
    """Any ``torch.distributions`` object as a module, so that it follows the model's device and dtype."""

    def __init__(self, distribution: Distribution):
        super().__init__()
        self.distribution = distribution

    def extra_repr(self) -> str:
        return f"{self.distribution}, event_shape={tuple(self.distribution.event_shape)}"

    def forward(self) -> Distribution:
        return self.distribution

    def _apply(self, fn, recurse=True):
        _map_tensors(self.distribution, fn)
        return super()._apply(fn, recurse)


def _map_tensors(distribution: Distribution, fn: Callable[[Tensor], Tensor]) -> None:
    """Replace each tensor that a distribution holds, in its components too."""
    for name, value in list(vars(distribution).items()):
        if isinstance(value, Tensor):
            vars(distribution)[name] = fn(value)
        elif isinstance(value, Distribution):
            _map_tensors(value, fn)


class Generator(nn.Module):
    """A model that samples: a map from data to latent and a prior over the latent. Its density may be unknown.

    Args:
        transform: the map. Preprocessing (scaling, logit) is part of it, so that densities are in data space.
        prior: any ``torch.distributions`` object over the latent, or a module that returns one when called.
        dequantise: for integer data, the map that adds noise first. It is kept apart because it is random:
            without it the transform is a bijection, whose inverse can be checked.

    Attributes:
        likelihood: whether its log-density of data is exact, a Monte Carlo estimate, a bound, or unknown (``none``).
        event_shape: the shape of one example, without the batch, which `flowbench.flows.build` states; ``None`` if
            it was built otherwise. Data of another shape is a `ShapeError`.
        loss_unit: of what training minimises, in words. Losses of models whose words differ cannot be compared.
        least_batch: how many examples a training batch must hold.
    """

    likelihood: Likelihood = "none"
    loss_unit: str = "nats"
    event_shape: tuple[int, ...] | None = None
    least_batch: int = 1

    def __init__(self, transform: FlowModule, prior: Distribution | nn.Module, *, dequantise: FlowModule | None = None):
        super().__init__()
        self.transform = transform
        self.prior = FixedPrior(prior) if isinstance(prior, Distribution) else prior
        self.dequantise = dequantise

    def extra_repr(self) -> str:
        return f"likelihood={self.likelihood}, event_shape={self.event_shape}"

    @property
    def classes(self) -> int:
        """Of the labels that its training data has; as many numbers stand before the features in each row of the
        transform. Zero for a model that knows nothing of labels."""
        return 0

    def transform_input(self, x: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
        """Data ``(batch, *event)`` as the transform takes it, dequantised if it is integer, and the log-determinant."""
        x = self.events(x)
        return self.dequantise.encode(x) if self.dequantise else (x, constant_logdet(x))

    def events(self, x: Tensor | np.ndarray) -> Tensor:
        """Data as a tensor, by `as_tensor`; a `ShapeError` unless it is ``(batch, *event)``."""
        x = self.as_tensor(x)
        if self.event_shape is not None:
            require_shape(x, self.event_shape)
        return x

    def as_tensor(self, x: Tensor | np.ndarray) -> Tensor:
        """An array of NumPy's comes to the device of the model, and its floating-point numbers to the model's dtype."""
        if isinstance(x, Tensor):
            return x
        like = next((t for t in (*self.parameters(), *self.buffers()) if t.is_floating_point()), torch.empty(0))
        x = np.ascontiguousarray(x)
        return torch.tensor(x, device=like.device, dtype=like.dtype if x.dtype.kind == "f" else None)

    def training_events(self, x: Tensor | np.ndarray) -> Tensor:
        """What `initialise` and `loss` take, as a tensor: `events` or, of a model with classes, rows with labels."""
        return self.events(x)

    def encode(self, x: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
        """Map data ``(batch, *event)`` to latent; return it and the log-determinant ``(batch,)`` in nats."""
        x, logdet_of_input = self.transform_input(x)
        z, logdet = self.transform.encode(x)
        return z, logdet_of_input + logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latent to data, rounded to grey levels if the data has those, with the log-determinant."""
        x, logdet = self.transform.decode(z)
        if self.dequantise:
            x, term = self.dequantise.decode(x)
            logdet = logdet + term
        return x, logdet

    def generate(self, z: Tensor) -> Tensor:
        """Data ``(batch, *event)`` from latents ``(batch, *latent)``, as `sample` draws it."""
        return self.finish(self.transform.decode(z)[0])

    def finish(self, x: Tensor) -> Tensor:
        """Data from what the transform decodes to, rounded to grey levels if it has those."""
        return self.dequantise.decode(x)[0] if self.dequantise else x

    def warmed(self, z: Tensor, temperature: float) -> Tensor:
        """Latents ``(batch, *latent)`` at another temperature than one: all that is random in them is scaled."""
        return temperature * z

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data ``(batch, *event)``, dequantised if it is integer, and the same after a round trip to the latent."""
        x, _ = self.transform_input(x)
        return x, self.transform.decode(self.transform.encode(x)[0])[0]

    def sample(self, n: int, generator: torch.Generator | None = None, *, temperature: float = 1.0) -> Tensor:
        """Draw ``(n, *event)`` from the model, reproducibly if a generator is given.

        A ``temperature`` other than one scales the latent first, which for a centred prior scales its standard
        deviation (Kingma & Dhariwal 2018, 1807.03039, section 6). Such samples do not follow the density.
        """
        return self.generate(self.warmed(self._draw(n, generator), temperature))

    def loss(self, batch: Tensor) -> Tensor:
        """What training minimises on a batch of data ``(batch, *event)``: a scalar."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it minimises")

    def parameter_count(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set data-dependent parameters from training data ``(batch, *event)``; called once."""
        self.transform.initialise(self.transform_input(x)[0])

    def log_prior(self, z: Tensor) -> Tensor:
        """Log-density of latents ``(batch, *latent)`` in nats, ``(batch,)``."""
        prior = self.prior()
        require_shape(z, prior.event_shape)  # or torch would broadcast
        return prior.log_prob(z) if len(z) else constant_logdet(z)  # torch cannot sum over an empty batch

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """``(n, *latent)`` from the prior."""
        prior = self.prior()
        draw = prior.rsample if prior.has_rsample and torch.is_grad_enabled() else prior.sample
        with seeded(generator) if generator else nullcontext():
            return draw((max(n, 1),))[:n]  # mixtures cannot draw zero samples


class FlowModel(Generator):
    """A density: a generator whose log-density is known, by the change of variables.

    Args:
        likelihood: what `log_prob` is: ``exact``, a Monte Carlo ``estimate``, or a ``bound``.

    Attributes:
        continuous: whether it solves a differential equation, which takes long.
    """

    continuous: bool = False

    def __init__(
        self,
        transform: FlowModule,
        prior: Distribution | nn.Module,
        *,
        dequantise: FlowModule | None = None,
        likelihood: Likelihood = "exact",
    ):
        super().__init__(transform, prior, dequantise=dequantise)
        self.likelihood = likelihood

    def log_prob(self, x: Tensor | np.ndarray) -> Tensor:
        """Log-density of data ``(batch, *event)`` in nats per event: ``(batch,)``."""
        z, logdet = self.encode(x)
        return self.log_prior(z) + logdet

    def loosely(self, tolerance: float) -> AbstractContextManager[None]:
        """A block in which a differential equation is solved to ``tolerance`` or what it has, if that is larger."""
        return nullcontext()

    def sample_with_log_prob(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw ``(n, *event)`` and return it with its log-density ``(n,)`` in nats.

        Differentiable with respect to the parameters if the prior is fixed or reparametrised. For integer
        data the density is that of the continuous value before it is rounded.
        """
        z = self._draw(n, generator)
        x, logdet = self.decode(z)
        return x, self.log_prior(z) - logdet

    def loss(self, batch: Tensor) -> Tensor:
        """The mean negative log-likelihood of a batch ``(batch, *event)`` in nats."""
        return -self.log_prob(batch).mean()


class FittedModel(FlowModel):
    """A density that is fitted in closed form or by a library, and not by gradient descent: a baseline."""

    def prepare(self) -> None:
        """Import what `fit` needs, so that the time of `fit` is the time of fitting."""

    def fit(self, train: Tensor, validation: Tensor) -> None:
        """Fit the model to ``(n, *event)`` training data, choosing its size on the validation data."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is fitted")
