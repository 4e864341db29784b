"""The contracts of the suite: an invertible map, a chain of them, and a density model.

Throughout, *encode* goes from data to latent and *decode* from latent to data, and a log-determinant
belongs to the direction that returned it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

# What a learnt map is initialised with, at most.
_INITIALISATION_NUMBERS = 2**20
Likelihood = Literal["exact", "estimate", "bound", "none"]

# Rows of Jacobians that one backward pass gives: enough to keep a device busy, few enough for its memory.
_JACOBIAN_ROWS = 64


class NoSuchDirectionError(RuntimeError):
    """A map was asked for a direction that does not exist (for instance, sampling a one-way map)."""


class ShapeError(ValueError):
    """A map or a flow was given events of a shape that it cannot take."""


class SolverError(RuntimeError):
    """A differential equation could not be solved; says what happened and which option to change."""


@dataclass(frozen=True)
class Mixture:
    """Equal isotropic Gaussians about ``centres``, all with the standard deviation ``std``."""

    centres: tuple[tuple[float, ...], ...]
    std: float


@dataclass(frozen=True)
class Event:
    """What one example of a data set looks like, and how models are to preprocess it.

    Attributes:
        shape: shape of one example, without the batch.
        levels: number of grey levels of integer data, which is then dequantised; ``None`` if continuous.
        standardise: whether models of vectors shift and scale each feature to zero mean and unit variance.
        start: what models are to transport to the data; ``None`` for the prior of their choice.
    """

    shape: tuple[int, ...]
    levels: int | None = None
    standardise: bool = True
    start: Mixture | None = None

    @property
    def dims(self) -> int:
        """Number of dimensions D of one example."""
        return math.prod(self.shape)


def sum_event(x: Tensor) -> Tensor:
    """Sum ``(batch, *event)`` over the event: ``(batch,)``."""
    return x.flatten(1).sum(1)


def require_shape(x: Tensor, shape: tuple[int, ...]) -> None:
    """Raise a `ShapeError` unless ``x`` is ``(batch, *shape)``: other events may broadcast, and be mapped wrongly."""
    if x.shape[1:] != shape:
        raise ShapeError(f"expected events of shape {tuple(shape)}, got {tuple(x.shape[1:])}")


def constant_logdet(x: Tensor, each: float = 0.0) -> Tensor:
    """The log-determinant, ``(batch,)`` in nats, to which each number of ``(batch, *event)`` adds ``each``.

    Whole numbers cannot hold it, and give the default dtype.
    """
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return torch.full((len(x),), each * math.prod(x.shape[1:]), dtype=dtype, device=x.device)


def soft_clamp(x: Tensor, limit: float) -> Tensor:
    """Bound log-scales smoothly to ``(-limit, limit)``, with slope one at zero: ``exp`` overflows in deep stacks."""
    return limit * torch.tanh(x / limit)


def full_precision(x: Tensor) -> torch.autocast:
    """A block without autocast on the device of ``x``.

    A map's own products of matrices run in it: in bfloat16 they would round the data itself, and the latent would no
    longer be that of the data. The networks inside the maps only steer them and may be rounded.
    """
    return torch.autocast(x.device.type, enabled=False)


@contextmanager
def seeded(seed: int | torch.Generator) -> Iterator[None]:
    """Seed torch's global random state for a block: ``torch.distributions`` take no generator of their own."""
    if isinstance(seed, torch.Generator):
        seed = int(torch.randint(2**62, (), generator=seed, device=seed.device))
    # A GPU that has not been used has no state to keep, and asking for it would start one up in every process.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Check:
    """Largest absolute errors of a map, found by `FlowModule.check` in float64.

    Attributes:
        data_error: ``|x - decode(encode(x))|``.
        latent_error: ``|z - encode(decode(z))|``.
        logdet_encode_error: encode's log-determinant against autograd's ``slogdet``, in nats.
        logdet_decode_error: the same for decode.
        logdet_sum_error: ``|logdet_encode + logdet_decode|``, in nats.
    """

    data_error: float
    latent_error: float
    logdet_encode_error: float
    logdet_decode_error: float
    logdet_sum_error: float

    @property
    def round_trip_error(self) -> float:
        """The larger of the two round-trip errors."""
        return max(self.data_error, self.latent_error)

    @property
    def logdet_error(self) -> float:
        """The largest of the three log-determinant errors, in nats."""
        return max(self.logdet_encode_error, self.logdet_decode_error, self.logdet_sum_error)


class FlowModule(nn.Module):
    """One invertible map between data and latent.

    Attributes:
        domain: the interval that each value of data must lie in; ``None`` for the real line.
    """

    domain: tuple[float, float] | None = None

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map data ``(batch, *event)`` to latent; return it and log|det ∂z/∂x|, ``(batch,)``, in nats."""
        raise NoSuchDirectionError(f"{type(self).__name__} has no encode")

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latent ``(batch, *event)`` to data; return it and log|det ∂x/∂z|, ``(batch,)``, in nats."""
        raise NoSuchDirectionError(f"{type(self).__name__} has no decode")

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        """Set data-dependent parameters from ``x`` ``(batch, *event)``, and return the latent of so many as suffice.

        Called once, before the first training step. Most maps have nothing to set.
        """
        return self.encode(x)[0]

    def check(self, x: Tensor) -> Check:
        """Compare both directions with each other and with autograd, in float64, at the points ``x``.

        Costs O(batch · D²) memory and, for each direction, a backward pass through batch · D examples.
        """
        module = copy.deepcopy(self).double().eval()
        x = x.detach().double()
        with torch.no_grad():
            z, logdet_encode = module.encode(x)
            x_again, logdet_decode = module.decode(z)
            z_again, _ = module.encode(x_again)
        return Check(
            data_error=_largest(x - x_again),
            latent_error=_largest(z - z_again),
            logdet_encode_error=_largest(logdet_encode - _autograd_logdet(module.encode, x)),
            logdet_decode_error=_largest(logdet_decode - _autograd_logdet(module.decode, z)),
            logdet_sum_error=_largest(logdet_encode + logdet_decode),
        )


def _largest(error: Tensor) -> float:
    """Largest absolute value, where anything that is not a number counts as infinite."""
    return float(error.abs().nan_to_num(nan=math.inf, posinf=math.inf).max())


def _autograd_logdet(direction: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """log|det| of the Jacobian of ``direction`` at each point, by autograd: ``(batch,)``."""
    # Examples do not mix, so the gradient of output i of copy i of a point is row i of its Jacobian: a backward pass
    # gives as many rows as there are copies. This asks nothing of the map, as vectorising autograd itself would.
    batch, dims = len(x), x[0].numel()
    count = min(dims, max(1, _JACOBIAN_ROWS // batch))
    copies = x.repeat_interleave(count, 0).requires_grad_()
    outputs = direction(copies)[0].reshape(batch, count, dims)
    rows = []
    for part in outputs.split(count, 2):
        (gradient,) = torch.autograd.grad(part.diagonal(dim1=1, dim2=2).sum(), copies, retain_graph=True)
        rows.append(gradient.reshape(batch, count, dims)[:, : part.shape[2]])
    return torch.linalg.slogdet(torch.cat(rows, 1)).logabsdet


class FlowSequential(FlowModule):
    """A chain of maps, listed from data to latent."""

    def __init__(self, *modules: FlowModule):
        super().__init__()
        self.chain = nn.ModuleList(modules)
        self.domain = modules[0].domain if modules else None

    def __getitem__(self, part: slice) -> FlowSequential:
        """A part of the chain, which shares its maps."""
        return FlowSequential(*self.chain[part])

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(x)
        for module in self.chain:
            x, term = module.encode(x)
            logdet = logdet + term
        return x, logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        logdet = constant_logdet(z)
        for module in reversed(self.chain):
            z, term = module.decode(z)
            logdet = logdet + term
        return z, logdet

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        for module in self.chain:
            # Preprocessing takes the moments of all the data. A learnt map starts well from those of a batch, and
            # might not bear more.
            if next(module.parameters(), None) is not None:
                x = x[: max(1, _INITIALISATION_NUMBERS // x[0].numel())]
            x = module.initialise(x)
        return x


class Inverse(FlowModule):
    """A map with its two directions exchanged: what was latent becomes data."""

    def __init__(self, module: FlowModule):
        super().__init__()
        self.module = module

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.decode(x)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.encode(z)


class FixedPrior(nn.Module):
    """Any ``torch.distributions`` object as a module, so that it follows the model's device and dtype."""

    def __init__(self, distribution: Distribution):
        super().__init__()
        self.distribution = distribution

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


class FlowModel(nn.Module):
    """A density: a map from data to latent and a prior over the latent.

    Args:
        transform: the map. Preprocessing (scaling, logit) is part of it, so that densities are in data space.
        prior: any ``torch.distributions`` object over the latent, or a module that returns one when called.
        dequantise: for integer data, the map that adds noise first. It stands apart because it is random:
            the transform alone is a bijection whose inverse can be checked.
        likelihood: what `log_prob` is: exact, a Monte Carlo estimate, a bound, or none at all: then it raises a
            `NoSuchDirectionError`, and integer data needs no dequantisation.
    """

    def __init__(
        self,
        transform: FlowModule,
        prior: Distribution | nn.Module,
        *,
        dequantise: FlowModule | None = None,
        likelihood: Likelihood = "exact",
    ):
        super().__init__()
        self.transform = transform
        self.prior = FixedPrior(prior) if isinstance(prior, Distribution) else prior
        self.dequantise = dequantise
        self.likelihood: Likelihood = likelihood

    def continuous(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data ``(batch, *event)`` as the transform takes it, dequantised if need be, and the log-determinant."""
        return self.dequantise.encode(x) if self.dequantise else (x, constant_logdet(x))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map data ``(batch, *event)`` to latent; return it and the log-determinant ``(batch,)`` in nats."""
        x, logdet_continuous = self.continuous(x)
        z, logdet = self.transform.encode(x)
        return z, logdet_continuous + logdet

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map latent to data, rounded to grey levels if the data has those, with the log-determinant."""
        x, logdet = self.transform.decode(z)
        if self.dequantise:
            x, term = self.dequantise.decode(x)
            logdet = logdet + term
        return x, logdet

    def generate(self, z: Tensor) -> Tensor:
        """Data ``(batch, *event)`` from latents ``(batch, *latent)``, as `sample` draws it."""
        return self.decode(z)[0]

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data ``(batch, *event)``, dequantised if need be, and what a round trip through the latent makes of it."""
        x, _ = self.continuous(x)
        return x, self.transform.decode(self.transform.encode(x)[0])[0]

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density of data ``(batch, *event)`` in nats per event: ``(batch,)``."""
        self._require_density()
        z, logdet = self.encode(x)
        return self._log_prior(z) + logdet

    def sample(self, n: int, generator: torch.Generator | None = None, *, temperature: float = 1.0) -> Tensor:
        """Draw ``(n, *event)`` from the model, reproducibly if a generator is given.

        A ``temperature`` other than one scales the latent first, which for a centred prior scales its standard
        deviation (Kingma & Dhariwal 2018, 1807.03039, section 6); these are no samples of the density.
        """
        return self.generate(temperature * self._draw(n, generator))

    def sample_with_log_prob(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Draw ``(n, *event)`` and return it with its log-density ``(n,)`` in nats.

        Differentiable with respect to the parameters if the prior is fixed or reparametrised. For integer
        data the density is that of the continuous value before it is rounded.
        """
        self._require_density()
        z = self._draw(n, generator)
        x, logdet = self.decode(z)
        return x, self._log_prior(z) - logdet

    def _log_prior(self, z: Tensor) -> Tensor:
        """Log-density of latents ``(batch, *latent)``: ``(batch,)``; torch's distributions cannot sum over none."""
        return self.prior().log_prob(z) if len(z) else constant_logdet(z)

    def _require_density(self) -> None:
        if self.likelihood == "none":
            raise NoSuchDirectionError(f"{type(self).__name__} has no density of data; it can sample and reconstruct")

    def _draw(self, n: int, generator: torch.Generator | None) -> Tensor:
        """``(n, *latent)`` from the prior."""
        prior = self.prior()
        draw = prior.rsample if prior.has_rsample and torch.is_grad_enabled() else prior.sample
        with seeded(generator) if generator else nullcontext():
            return draw((max(n, 1),))[:n]  # mixtures cannot draw none

    def loss(self, batch: Tensor) -> Tensor:
        """What training minimises on a batch of data: by default the mean negative log-likelihood in nats."""
        return -self.log_prob(batch).mean()

    def parameter_count(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set data-dependent parameters from training data ``(batch, *event)``; called once."""
        self.transform.initialise(self.continuous(x)[0])


class FittedModel(FlowModel):
    """A density that is fitted in closed form or by a library, and not by gradient descent: a baseline."""

    def prepare(self) -> None:
        """Load what `fit` needs, so that its time is that of fitting alone."""

    def fit(self, train: Tensor, validation: Tensor) -> None:
        """Fit the model to ``(n, *event)`` training data, choosing its size on the validation data."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is fitted")
