"""Continuous flow: the solution of an ordinary differential equation as an invertible map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, SolverError, full_precision
from flowbench.networks.field import PerceptronField, VectorField

# An exact divergence sends directions with at most this many numbers through the field at once.
_DIRECTION_NUMBERS = 2**24
# Nothing here depends on data. This many latents are enough for a map that follows.
_INITIALISATION_EXAMPLES = 32
FixedStep = Literal["euler", "midpoint"]
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Solution:
    """The solution of a differential equation at its end.

    Attributes:
        x: the state at the end, ``(batch, *event)``.
        logdets: log|det| of the map from the start in nats, one for each probe of the divergence, ``(batch, probes)``;
            ``(batch, 1)`` if the divergence is exact.
        evaluations: how often the vector field was evaluated.
    """

    x: Tensor
    logdets: Tensor
    evaluations: int


class ContinuousFlow(FlowModule):
    """dx/dt = v(t, x) from latent at t = 0 to data at t = 1, with d log|det| / dt = ∇·v (Chen et al. 2018, 1806.07366).

    An adaptive Runge-Kutta method of order 5 (Dormand & Prince 1980) solves both to a tolerance, which every example
    of a batch keeps. The most difficult example decides the steps, so results depend on the batch, within the
    tolerance. Gradients pass through the steps, which are stored for them. Without gradients the state is float64 and
    only the field computes in the precision of its weights: rounding the state at each step would make the round trip
    less accurate, since errors grow along the path. For the same reason a solution does not run under autocast, and
    bfloat16 becomes float32.

    Args:
        field: v.
        tolerance: absolute and relative, of the local error; with gradients in float32 it is at least 1.2e-6. Zero
            cannot be reached and is a `SolverError`.
        max_evaluations: the most evaluations of the field in one solution; more are a `SolverError`.
        probes: the number of random sign vectors ε in Hutchinson's estimate of the divergence, εᵀ (∂v/∂x) ε. They stay
            the same along the path (Grathwohl et al. 2019, 1810.01367, section 3.1). ``None`` takes the exact
            divergence, which costs D products with the Jacobian.

    What the field keeps as a context passes unchanged, and has no part in the divergence.

    Example:
        >>> import torch
        >>> layer, x = ContinuousFlow(PerceptronField(2, [8], frequencies=2)), torch.randn(7, 2)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 2]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-3)
        True
    """

    compilable = False

    def __init__(
        self, field: VectorField, *, tolerance: float = 1e-5, max_evaluations: int = 2000, probes: int | None = None
    ):
        super().__init__()
        self.field = field
        self.tolerance = tolerance
        self.max_evaluations = max_evaluations
        self.probes = probes
        self.finds_logdets = True

    def extra_repr(self) -> str:
        return f"tolerance={self.tolerance:g}, max_evaluations={self.max_evaluations}, probes={self.probes}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._map(x, 1.0, 0.0)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self._map(z, 0.0, 1.0)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> Tensor:
        return self.transport(x[:_INITIALISATION_EXAMPLES], 1.0, 0.0)[0]

    def solve(self, x: Tensor, start: float, end: float) -> Solution:
        """The state and the log-determinant at the time ``end``; the state at ``start`` is ``x`` ``(batch, *event)``.

        Raises:
            SolverError: the field is not finite, or the tolerance cannot be reached.
        """
        x = _wide_enough(x)
        probes = self._probes(x)

        def derivative(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            if probes is None:
                return self._exact_divergence(t, state[0])
            velocity, terms = self.field.quadratic_forms(t, state[0], probes)
            return velocity, terms.T

        zeros = x.new_zeros(len(x), 1 if probes is None else len(probes))
        (x, logdets), evaluations = self._integrate(derivative, (x, zeros), start, end)
        return Solution(x, logdets, evaluations)

    def transport(self, x: Tensor, start: float = 0.0, end: float = 1.0) -> tuple[Tensor, int]:
        """`solve` without the log-determinant, which sampling does not need: the state and the evaluations."""
        x = _wide_enough(x)
        (x,), evaluations = self._integrate(lambda t, state: (self.field(t, state[0]),), (x,), start, end)
        return x, evaluations

    def steps(self, z: Tensor, method: FixedStep, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Go from latent to data in ``count`` equal steps; after each, the time and the state ``(batch, *event)``."""
        from torchdiffeq import odeint

        z = _wide_enough(z)
        times = torch.linspace(0, 1, count + 1, dtype=z.dtype, device=z.device)
        for t, t_next in pairwise(times):
            with full_precision(z):
                z = odeint(self.field, z, torch.stack((t, t_next)), method=method)[-1]
            yield t_next, z

    def _map(self, x: Tensor, start: float, end: float) -> tuple[Tensor, Tensor]:
        if not self.finds_logdets:
            x, _ = self.transport(x, start, end)
            return x, x.new_full((len(x),), math.nan)
        solution = self.solve(x, start, end)
        return solution.x, solution.logdets.mean(1)

    def _integrate(
        self, derivative, state: tuple[Tensor, ...], start: float, end: float
    ) -> tuple[tuple[Tensor, ...], int]:
        from torchdiffeq import odeint  # and SciPy with it

        if not state[0].numel():  # an empty batch
            return state, 0
        if self.tolerance <= 0:
            raise SolverError(f"tolerance = {self.tolerance:g} cannot be reached; raise it")
        evaluations, derivatives = 0, state
        dtype = state[0].dtype
        wide = dtype if torch.is_grad_enabled() else torch.float64

        def counted(t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            nonlocal evaluations, derivatives
            evaluations += 1
            if evaluations > self.max_evaluations:
                raise SolverError(
                    f"the solver needs more than max_evaluations = {self.max_evaluations} of the field at "
                    f"tolerance = {self.tolerance:g}; raise one of them"
                )
            derivatives = derivative(t.to(dtype), tuple(part.to(dtype) for part in state))
            return tuple(part.to(wide) for part in derivatives)

        times = torch.tensor([start, end], dtype=wide, device=state[0].device)
        tolerance = max(self.tolerance, 10 * torch.finfo(wide).eps)
        # The last step ends exactly at the end: interpolation within a longer step would be less accurate.
        options = {"step_t": times[1:], "norm": _largest}
        try:
            beginning = tuple(part.to(wide) for part in state)
            with full_precision(state[0]):
                solved = odeint(counted, beginning, times, rtol=tolerance, atol=tolerance, options=options)
        except AssertionError as error:
            if not str(error).startswith(("underflow in dt", "non-finite values")):  # raised by the field itself
                raise
            # The step also becomes too small when the field is not finite.
            if all(part.isfinite().all() for part in derivatives):
                reason = f"tolerance = {self.tolerance:g} cannot be reached; raise it"
            else:
                reason = "the vector field is not finite; lower the budget's learning_rate or clip_norm"
            raise SolverError(reason) from None
        return tuple(values[-1].to(dtype) for values in solved), evaluations

    def _probes(self, x: Tensor) -> Tensor | None:
        """Random signs ``(probes, batch, *event)``: they give less variance than normal numbers (1810.01367)."""
        if self.probes is None:
            return None
        signs = torch.randint(0, 2, (self.probes, *x.shape), device=x.device).to(x.dtype) * 2 - 1
        if self.field.context:
            signs[:, :, : self.field.context] = 0
        return signs

    def _exact_divergence(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity and the trace of its Jacobian, ``(batch, 1)``."""
        dims = math.prod(x.shape[1:])
        at_once = max(1, _DIRECTION_NUMBERS // x.numel())
        total = x.new_zeros(len(x), 1)
        velocity = x
        for units in torch.eye(dims, dtype=x.dtype, device=x.device)[self.field.context :].split(at_once):
            directions = units.view(-1, 1, *x.shape[1:]).expand(-1, *x.shape)
            velocity, terms = self.field.quadratic_forms(t, x, directions)
            total = total + terms.sum(0)[:, None]
        return velocity, total


def _wide_enough(x: Tensor) -> Tensor:
    """``x`` in float32 if it has fewer digits, with which no equation can be solved."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _largest(parts: tuple[Tensor, ...]) -> Tensor:
    """The largest root mean square of an example's part of a state, ``(batch, …)`` each."""
    return torch.stack([part.flatten(1).square().mean(1).amax() for part in parts]).amax().sqrt()


@contextmanager
def solving(module: nn.Module, *, tolerance_factor: float = 1.0, logdets: bool = True) -> Iterator[None]:
    """A block in which the continuous flows within ``module`` are solved with other settings.

    Args:
        tolerance_factor: multiplies their tolerance; a factor below one raises the limit of evaluations by its inverse.
        logdets: whether to compute the divergence, the expensive part of a solution; if not, log-determinants are NaN.
    """
    continuous = [part for part in module.modules() if isinstance(part, ContinuousFlow)]
    before = [(flow.tolerance, flow.max_evaluations, flow.finds_logdets) for flow in continuous]
    for flow in continuous:
        flow.tolerance *= tolerance_factor
        flow.max_evaluations = math.ceil(flow.max_evaluations / min(1.0, tolerance_factor))
        flow.finds_logdets &= logdets
    try:
        yield
    finally:
        for flow, values in zip(continuous, before, strict=True):
            flow.tolerance, flow.max_evaluations, flow.finds_logdets = values


def solve_exactly(module: Module) -> Module:
    """Let the continuous flows within ``module`` be solved to many digits, with exact divergences; returns it."""
    for part in module.modules():
        if isinstance(part, ContinuousFlow):
            part.tolerance, part.max_evaluations, part.probes = 1e-10, 20_000, None
    return module


def examples():
    def flow(dims: int, hidden: list[int], context: int = 0) -> FlowModule:
        return solve_exactly(ContinuousFlow(PerceptronField(dims, hidden, frequencies=2, context=context)))

    return {
        "vector": (flow(3, [8, 8]), (3,)),
        "scalar": (flow(1, [8]), (1,)),
        "with a context": (flow(2, [8], context=2), (2 + 2,)),
    }
