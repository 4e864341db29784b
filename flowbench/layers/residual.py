"""Residual map: the identity plus a contraction, whose inverse is a fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, SolverError, full_precision, require_last_derivative, require_shape
from flowbench.networks.lipschitz import Linearised, LipschitzPerceptron

# When the log-determinant is a Monte Carlo estimate.
Estimate = Literal["never", "training", "always"]
# Without gradients, Jacobians of so many points that they take at most this many numbers are found at once.
_JACOBIAN_NUMBERS = 2**24
# Steps of an iteration do not become smaller than a few roundings of float64.
_FINEST = 16 * torch.finfo(torch.float64).eps
# Examples that are solved leave the iteration, but not one by one: from a small batch that saves nothing.
_LEAST_TO_DROP = 64
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class FixedPoint:
    """The solution x of x + g(x) = z by iteration.

    Attributes:
        x: the solution, ``(batch, D)`` float64.
        iterations: steps until each example had converged, ``(batch,)``.
        errors: bounds on the distance to the true solution, relative to 1 + ‖z‖, ``(batch,)`` float64.
    """

    x: Tensor
    iterations: Tensor
    errors: Tensor


class Residual(FlowModule):
    """z = x + g(x) with a contraction g (Behrmann et al. 2019, 1811.00995; Chen et al. 2019, 1906.02735).

    `encode` is in closed form. `decode` iterates x ← z - g(x) (1811.00995, algorithm 1) in float64, until by Banach's
    theorem x is as near to the solution as the dtype of z can tell. Its gradients are those of the implicit function
    theorem, so no step is stored. They cannot be differentiated again, and neither can those of an estimate below. Both
    directions compute in the precision of the weights, also under autocast.

    log det(I + J) of the Jacobian J of g is exact, which costs D products with J and a determinant. Or it is an
    unbiased estimate: of the series Σₖ (-1)ᵏ⁺¹ vᵀ Jᵏ v / k with random signs v, the terms after the first ``terms``
    go on with probability ``continuation`` each and are divided by the probability of being reached (1906.02735,
    equation 6, "Russian roulette"). All examples of a batch share the number of terms. Its gradient is that of
    the Neumann series (ibid., equation 8), which stores one product with J.

    Args:
        network: g, a contraction.
        estimate: whether the log-determinant is an estimate ``never``, in ``training`` only, or ``always``.
        terms: of the series that are always taken.
        continuation: the probability of each further term. The variance is sure to be finite if it exceeds the
            square of the network's coefficient; for most Jacobians far less is enough.
        max_iterations: the most steps of an inverse; more are a `SolverError`.

    Example:
        >>> import torch
        >>> layer, x = Residual(LipschitzPerceptron(2, [8])), torch.randn(7, 2)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 2]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-5)
        True
        >>> bool(layer.solve(z).errors.max() < 1e-6)
        True
    """

    compilable = False

    def __init__(
        self,
        network: LipschitzPerceptron,
        *,
        estimate: Estimate = "never",
        terms: int = 4,
        continuation: float = 0.5,
        max_iterations: int = 3000,
    ):
        super().__init__()
        self.network = network
        self.estimate = estimate
        self.terms = terms
        self.continuation = continuation
        self.max_iterations = max_iterations

    def extra_repr(self) -> str:
        return f"estimate={self.estimate}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, (self.network.dims,))
        with full_precision(x):
            at = self.network.bounded().at(x)
            return x + at.values, self._logdet(at)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, (self.network.dims,))
        solution = self.solve(z).x.to(z.dtype)
        with full_precision(z):
            network = self.network.bounded()
            # One more step gives dx = dz - dg at the solution; the hook adds the factor (I + J)⁻¹.
            x = z - network(solution)
            if x.requires_grad:
                at = network.detached(torch.float64).at(solution.double())

                def through_solution(gradient: Tensor | None) -> Tensor | None:
                    require_last_derivative("the inverse of a residual layer")
                    return None if gradient is None else self._solve_transposed(at, gradient)

                x.register_hook(through_solution)
            return x, -self._logdet(network.at(x))

    @torch.no_grad()
    def solve(self, z: Tensor) -> FixedPoint:
        """The inverse at ``z`` ``(batch, D)``, with how it was found.

        An example that is not finite has no solution, and its error is NaN.

        Raises:
            SolverError: ``max_iterations`` are too few.
            LipschitzError: a weight of the network is not finite.
        """
        with full_precision(z):
            network = self.network.bounded().detached(torch.float64)
            # ‖x - solution‖ is at most this many times the last step.
            factor = self.network.coefficient / (1 - self.network.coefficient)
            tolerance = max(torch.finfo(z.dtype).eps / factor, _FINEST)
            target = z.double()
            x, steps = target.clone(), torch.zeros_like(target[:, 0])
            iterations = torch.zeros_like(steps, dtype=torch.int64)
            open_, rows = iterations == 0, torch.arange(len(z), device=z.device)
            left = len(z)
            while left:
                if int(iterations.max()) == self.max_iterations:
                    raise SolverError(
                        f"the inverse of a residual layer needs more than max_iterations = {self.max_iterations}; "
                        "raise it, or lower the coefficient"
                    )
                start, end, moving = x[rows], target[rows], open_[rows]
                following = end - network(start)
                step = (following - start).norm(dim=1) / (1 + end.norm(dim=1))
                x[rows] = torch.where(moving[:, None], following, start)
                steps[rows] = torch.where(moving, step, steps[rows])
                iterations[rows] += moving
                moving &= step > tolerance
                open_[rows] = moving
                left = int(moving.sum())
                if len(rows) >= _LEAST_TO_DROP and 2 * left <= len(rows):
                    rows = rows[moving]
            return FixedPoint(x, iterations, factor * steps)

    def _logdet(self, at: Linearised) -> Tensor:
        """log det(I + J), ``(batch,)``; the determinant of I plus a contraction is positive."""
        if self.estimate == "always" or (self.estimate == "training" and self.training):
            return self._estimated_logdet(at)
        if torch.is_grad_enabled() or not len(at.values):
            return _exact_logdet(at)
        dims, widest = at.values.shape[1], max([1, *(slopes[0].numel() for slopes in at.slopes)])
        return torch.cat([_exact_logdet(part) for part in at.split(max(1, _JACOBIAN_NUMBERS // (dims * widest)))])

    def _estimated_logdet(self, at: Linearised) -> Tensor:
        """An unbiased estimate of `_exact_logdet`, with an unbiased estimate of its gradient."""
        probe = torch.randint(0, 2, at.values.shape, device=at.values.device).to(at.values.dtype) * 2 - 1
        further = int(torch.empty(()).geometric_(1 - self.continuation)) - 1
        with torch.no_grad():
            estimate, power, neumann = torch.zeros_like(probe[:, 0]), probe, probe
            for k in range(1, self.terms + further + 1):
                power = -at.push(power)  # (-J)ᵏ v
                reached = power / self.continuation ** max(0, k - self.terms)
                estimate = estimate - (probe * reached).sum(1) / k
                neumann = neumann + reached
        if not torch.is_grad_enabled():
            return estimate
        # The gradient of log det(I + J) is the trace of Σₖ (-J)ᵏ ∂J.
        slope = (probe * at.push(neumann)).sum(1)
        if slope.requires_grad:
            slope.register_hook(lambda _: require_last_derivative("an estimated log-determinant"))
        return estimate + slope - slope.detach()

    @torch.no_grad()
    def _solve_transposed(self, at: Linearised, gradient: Tensor) -> Tensor:
        """The w with (I + Jᵀ) w = gradient, by the same iteration; Jᵀ is a contraction too."""
        target = gradient.double()
        w, tolerance = target, max(torch.finfo(gradient.dtype).eps * (1 - self.network.coefficient), _FINEST)
        for _ in range(self.max_iterations):
            w, before = target - at.pull(w), w
            # What is not finite stays so, and ends nothing.
            if not ((w - before).norm(dim=1) > tolerance * target.norm(dim=1)).any():
                return w.to(gradient.dtype)
        raise SolverError(
            f"the gradient of an inverse needs more than max_iterations = {self.max_iterations}; "
            "raise it, or lower the coefficient"
        )


def _exact_logdet(at: Linearised) -> Tensor:
    jacobian = at.jacobian()
    return torch.linalg.slogdet(torch.eye(jacobian.shape[1], dtype=jacobian.dtype, device=jacobian.device) + jacobian)[
        1
    ]


def solve_exactly(module: Module) -> Module:
    """Let the log-determinants of the residual maps within ``module`` be exact at all times; returns it."""
    for part in module.modules():
        if isinstance(part, Residual):
            part.estimate = "never"
    return module


def examples():
    return {
        "vector": (Residual(LipschitzPerceptron(5, [16, 16])), (5,)),
        "no hidden layer": (Residual(LipschitzPerceptron(3, [])), (3,)),
        "scalar": (Residual(LipschitzPerceptron(1, [8])), (1,)),
    }
