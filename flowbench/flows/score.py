"""Score-based diffusion (Song et al. 2021, 2011.13456): the flow of its probability-flow equation."""

from __future__ import annotations

import torch
from torch import Tensor

from flowbench.config import PositiveInt
from flowbench.core import Event, FlowModel
from flowbench.flows._assembly import Alpha, latent, preprocessing
from flowbench.flows._continuous import ContinuousModel, Hidden, Probes, Tolerance
from flowbench.flows._paths import DIFFUSION_END, diffusion, spread_times
from flowbench.layers.continuous import ContinuousFlow
from flowbench.networks.field import PerceptronField, VectorField

# The finest structure that data is thought to have, in its standard deviations: with less noise a score hardly grows.
_FINEST = 0.2


class ScoreField(VectorField):
    """The velocity ½ β (x + ∇log p_t(x)) of the probability flow (Song et al. 2021, equation 13 and appendix D.1).

    A network n gives the score as -(x + α n(t, x) / w) with w² = σ² + 0.2², where x_t = α x₁ + σ ε. At n = 0 every p_t
    is standard normal and nothing moves. w keeps n of about one size. The velocity -½ β α n / w has no pole at the
    data, where a network for the noise would give it one. Times are those of a flow: data is at t = 1.

    Args:
        network: n.
    """

    def __init__(self, network: VectorField):
        super().__init__()
        self.network = network

    def score(self, t: Tensor, x: Tensor) -> Tensor:
        """∇log p_t(x), of the shape of x ``(batch, *event)``; the times t are a scalar or ``(batch,)``."""
        alpha, sigma, _ = _schedule(_beside(t, x))
        return -(x + alpha / _width(sigma) * self.network(t, x))

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return _speed(_beside(t, x)) * self.network(t, x)

    def quadratic_forms(self, t: Tensor, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        velocity, forms = self.network.quadratic_forms(t, x, directions)
        return _speed(_beside(t, x)) * velocity, _speed(t) * forms


class ScoreMatching(ContinuousModel):
    """A continuous flow along the paths of a diffusion, whose score is learnt by denoising."""

    loss_unit = "squared error of noise"

    def loss(self, batch: Tensor) -> Tensor:
        """Mean of (ε̂(t, x_t) - ε)² over t, ε and all dimensions.

        ε̂ is -σ times the score, so this is denoising score matching, σ² ‖s(t, x_t) - ∇log p(x_t | x₁)‖², with the
        weight λ = σ² of Song et al. (2021, equation 7): the simple loss of Ho et al. (2020, 2006.11239, equation 14).
        """
        field = self.flow.field
        assert isinstance(field, ScoreField)
        x1 = self.end(batch)
        noise = torch.randn_like(x1)
        t = spread_times(len(batch), x1.device)
        alpha, sigma, _ = _schedule(_beside(t, x1))
        x = alpha * x1 + sigma * noise
        return (-sigma * field.score(t, x).to(x.dtype) - noise).square().mean()


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
    """The variance-preserving diffusion with a perceptron, learnt by denoising score matching.

    The noise grows as along flow matching's ``path: diffusion``, with the same cut-off next to the data, and the
    differential equation that samples and scores is the one whose velocities that learns.

    Args:
        hidden: sizes of the perceptron's hidden layers.
        frequencies: of the sines and cosines by which time enters it.
        tolerance: of the solver, in evaluation.
        max_evaluations: of the field in one solution; a solution that needs more fails.
        probes: of Hutchinson's estimate of the divergence, at least two; null for the exact one.
        logit: α of the logit that integer data passes first; null for none.

    Example:
        >>> import torch
        >>> model = build(Event((2,)), hidden=[8])
        >>> x = torch.randn(7, 2)
        >>> model.loss(x).shape, model.log_prob(x).shape, model.sample(3).shape
        (torch.Size([]), torch.Size([7]), torch.Size([3, 2]))
    """
    if event.start is not None:
        raise ValueError("a diffusion leads to normal noise, and the data set says where its transport starts")
    dequantise, before = preprocessing(event, logit)
    field = ScoreField(PerceptronField(event.dims, hidden, frequencies))
    flow = ContinuousFlow(field, tolerance=tolerance, max_evaluations=max_evaluations, probes=probes)
    return ScoreMatching(before, flow, [], latent(event), dequantise)


def _schedule(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """α, σ and dα/dt = ½ β α at times of any shape, of the paths that flow matching knows.

    t = 1 is where their cut-off begins, as Song et al. (2021, appendix C) take it. Flow matching's velocities stand
    still from there on. A field that did so would have a kink, which a solver of high order does not bear.
    """
    one, zero, used = torch.ones_like(t), torch.zeros_like(t), 1 - DIFFUSION_END
    alpha, rate = diffusion(zero, one, used * t, 0.0)
    sigma, _ = diffusion(one, zero, used * t, 0.0)
    return alpha, sigma, used * rate


def _width(sigma: Tensor) -> Tensor:
    """√(σ² + c²), c being the finest structure of the data."""
    return (sigma**2 + _FINEST**2).sqrt()


def _speed(t: Tensor) -> Tensor:
    """-½ β α / √(σ² + c²), by which the network's output becomes a velocity."""
    _, sigma, rate = _schedule(t)
    return -rate / _width(sigma)


def _beside(t: Tensor, x: Tensor) -> Tensor:
    """Times, a scalar or ``(batch,)``, in a shape that multiplies x ``(batch, *event)``."""
    return t.view(-1, *[1] * (x.dim() - 1))
