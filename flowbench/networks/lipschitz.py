"""A perceptron that is a contraction, whatever its weights are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from flowbench.core import SolverError

# The Schatten norm of order 2^(k + 2), here 256, exceeds the spectral norm of rank r by a factor of at most r^(1/256):
# 1.02 for 128 hidden units.
_SQUARINGS = 6
# Without rescaling, so many squarings in a row keep to the range of float32.
_SQUARINGS_AT_ONCE = 3
# The last layer starts with this norm, so that the map starts near the identity.
_INITIAL_NORM = 0.1


class LipschitzError(SolverError):
    """A network's Lipschitz constant has no bound, since some of its weights are not finite."""


def spectral_bounds(weights: Sequence[Tensor]) -> Tensor:
    """Upper bounds of the spectral norms of some matrices, ``(matrices,)``, at most 2 % too large up to rank 128.

    Powers of the Gram matrices by repeated squaring (Delattre et al. 2023, 2305.16173, algorithm 1).
    """
    # Power iteration on a vector, as in 1811.00995, approaches the norm from below and needs a vector that is right for
    # the weights in use: after a step, or in weights from a file, the bound may not hold. Power iteration on the matrix
    # comes from above. So the bound holds for all weights, in training and in evaluation, and it is differentiable.
    least = torch.finfo(weights[0].dtype).tiny
    sizes = torch.stack([weight.detach().abs().max() for weight in weights]).clamp_min(least)
    scaled = [weight / size for weight, size in zip(weights, sizes, strict=True)]
    grams = [weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight for weight in scaled]
    widest = max(len(gram) for gram in grams)
    # Zeros around a matrix do not change its norm, and one product of all takes less time than many.
    power = torch.stack([pad(gram, (0, widest - len(gram)) * 2) for gram in grams])
    log_size = torch.zeros_like(sizes)
    for squaring in range(_SQUARINGS):
        if squaring % _SQUARINGS_AT_ONCE == 0:  # in the end the scales cancel, and so would their gradients
            scale = power.detach().flatten(1).norm(dim=1).clamp_min(least)
            power, log_size = power / scale[:, None, None], log_size + scale.log() * 2**-squaring
        power = power @ power
    log_norm = power.flatten(1).norm(dim=1).clamp_min(least).log()
    return sizes * ((log_size + log_norm * 2**-_SQUARINGS) / 2).exp()


class LipschitzPerceptron(nn.Module):
    """A perceptron with ``|g(x) - g(y)|₂ ≤ coefficient |x - y|₂``, for the invertible x + g(x) of 1811.00995.

    Each weight is divided by what its spectral norm exceeds ``coefficient^(1/layers)`` by (ibid., equation 4). A hidden
    unit h becomes the two numbers sin h and cos h, whose derivative has length one for all h. It bounds the layer
    without loss: LipSwish (1906.02735, section 3.3) has slopes between 0 and 1, so that a network of several layers
    stays far below its bound. It is smooth, which a log-determinant that is differentiated again needs.

    Args:
        dims: D of the vectors ``(batch, D)``.
        hidden: sizes of the hidden layers.
        coefficient: the bound on the Lipschitz constant, above 0 and below 1.

    Example:
        >>> import torch
        >>> network, x = LipschitzPerceptron(2, [8, 8]), torch.randn(7, 2)
        >>> contraction = network.bounded()
        >>> contraction(x).shape, contraction.at(x).jacobian().shape
        (torch.Size([7, 2]), torch.Size([7, 2, 2]))
        >>> bool(torch.linalg.matrix_norm(contraction.at(x).jacobian(), 2).max() < 0.97)
        True
    """

    def __init__(self, dims: int, hidden: Sequence[int], coefficient: float = 0.97):
        super().__init__()
        if not 0 < coefficient < 1:
            raise ValueError(
                f"coefficient = {coefficient:g} must lie between 0 and 1: only a contraction is invertible"
            )
        self.coefficient = coefficient
        inputs = [dims, *(2 * size for size in hidden)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(inputs, [*hidden, dims], strict=True))
        for layer in self.layers:
            nn.init.orthogonal_(layer.weight)
            nn.init.uniform_(layer.bias, -math.pi, math.pi)
        with torch.no_grad():
            self.layers[-1].weight.mul_(_INITIAL_NORM)
            self.layers[-1].bias.zero_()

    def extra_repr(self) -> str:
        return f"coefficient={self.coefficient:g}"

    @property
    def dims(self) -> int:
        """D of the vectors."""
        return self.layers[0].in_features

    def bounded(self) -> Contraction:
        """The network with the weights that it has now, made to keep the bound.

        Raises:
            LipschitzError: a weight is not finite.
        """
        norms = spectral_bounds([layer.weight for layer in self.layers])
        if not norms.isfinite().all():
            raise LipschitzError(
                f"the Lipschitz bound of {self.coefficient:g} is lost: a weight is not finite; "
                "lower the budget's learning_rate or clip_norm"
            )
        scales = (norms / self.coefficient ** (1 / len(self.layers))).clamp_min(1)
        weights = tuple(layer.weight / scale for layer, scale in zip(self.layers, scales, strict=True))
        return Contraction(weights, tuple(layer.bias for layer in self.layers))


@dataclass(frozen=True)
class Contraction:
    """A perceptron of fixed weights that keeps its Lipschitz bound.

    Attributes:
        weights: of its layers; of all but the first they act on sines and then cosines.
        biases: of its layers.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """Its values ``(batch, D)`` at ``x`` ``(batch, D)``."""
        h = linear(x, self.weights[0], self.biases[0])
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            h = linear(torch.cat((h.sin(), h.cos()), 1), weight, bias)
        return h

    def at(self, x: Tensor) -> Linearised:
        """Its values and its derivative at ``x`` ``(batch, D)``."""
        h, slopes = linear(x, self.weights[0], self.biases[0]), []
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            sine, cosine = h.sin(), h.cos()
            slopes.append(torch.stack((cosine, -sine), 1))
            h = linear(torch.cat((sine, cosine), 1), weight, bias)
        return Linearised(h, self.weights, tuple(slopes))

    def detached(self, dtype: torch.dtype) -> Contraction:
        """The same without gradients, in another precision."""
        weights, biases = (tuple(part.detach().to(dtype) for part in parts) for parts in (self.weights, self.biases))
        return Contraction(weights, biases)


@dataclass(frozen=True)
class Linearised:
    """A perceptron at some points, with its Jacobian J as a product of matrices.

    Attributes:
        values: of the perceptron, ``(batch, D)``.
        weights: of its layers.
        slopes: of the two numbers of each hidden unit, ``(batch, 2, units)`` for each hidden layer.
    """

    values: Tensor
    weights: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]

    def push(self, tangents: Tensor) -> Tensor:
        """J t for the ``tangents`` t ``(…, batch, D)``, or ``(…, 1, D)`` for the same at all points."""
        t = tangents @ self.weights[0].T
        for weight, slopes in zip(self.weights[1:], self.slopes, strict=True):
            t = (t[..., None, :] * slopes).flatten(-2) @ weight.T
        return t

    def pull(self, cotangents: Tensor) -> Tensor:
        """Jᵀ c for the ``cotangents`` c ``(…, batch, D)``."""
        c = cotangents
        for weight, slopes in zip(reversed(self.weights[1:]), reversed(self.slopes), strict=True):
            c = ((c @ weight).unflatten(-1, slopes.shape[1:]) * slopes).sum(-2)
        return c @ self.weights[0]

    def jacobian(self) -> Tensor:
        """J, ``(batch, D, D)``."""
        batch, dims = self.values.shape
        units = torch.eye(dims, dtype=self.values.dtype, device=self.values.device)[:, None]
        return self.push(units).expand(dims, batch, dims).permute(1, 2, 0)

    def split(self, size: int) -> Iterator[Linearised]:
        """The same for at most ``size`` points at a time."""
        for values, *slopes in zip(self.values.split(size), *(s.split(size) for s in self.slopes), strict=True):
            yield Linearised(values, self.weights, tuple(slopes))
