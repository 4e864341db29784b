"""Whether a peer's flow is ours: the condition for its times to stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bench.candidate import Candidate
from bench.works import Work, candidate
from flowbench.core import FlowModel

# Of log-densities in float64, as a share of the largest. The libraries add the same numbers in other orders.
TOLERANCE = 1e-9
# Solvers leave more, also at the tolerance that is set for the comparison.
_SOLVER_TOLERANCE, _SOLVED_TO = 1e-5, 1e-8
_EXAMPLES = 64
# The mean log-densities of two sets of samples may differ by so many standard errors.
_STANDARD_ERRORS = 6.0


def agreement(work: Work, make: Callable[[FlowModel], Candidate]) -> str:
    """How a peer agrees with ours for the same weights, in float64: in its log-density, or else in its field.

    Its samples must be as likely under our density as our own.

    Raises:
        ValueError: it differs.
    """
    with _float64():
        ours = work.ours().eval()
        limit = TOLERANCE
        if ours.continuous:
            ours.flow.tolerance, limit = _SOLVED_TO, _SOLVER_TOLERANCE
        theirs = make(ours)
        theirs.model.eval()
        our_count, their_count = candidate(ours).parameter_count(), theirs.parameter_count()
        counts = "" if our_count == their_count else f"; it learns {their_count:,} parameters, ours {our_count:,}"
        x = work.data(_EXAMPLES, torch.float64)
        with torch.no_grad():
            if theirs.log_prob is None:
                t = torch.rand(len(x))
                error = _error(ours.flow.field(t, x), theirs.model(t, x), "field", limit)
                return f"its field agrees to {error:.0e}{counts}"
            error = _error(ours.log_prob(x), theirs.log_prob(x), "log-density", limit)
            if theirs.sample and work.draws:
                _compare_samples(ours, theirs.sample(work.draws), work.draws)
    return f"its log-density agrees to {error:.0e}{counts}"


def _error(ours: Tensor, theirs: Tensor, what: str, limit: float) -> float:
    """The largest difference as a share of the largest value."""
    error = float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1.0))
    if not error <= limit:
        raise ValueError(f"its {what} differs by {error:.2g} of the largest value for the same weights")
    return error


def _compare_samples(ours: FlowModel, samples: Tensor, n: int) -> None:
    values = [ours.log_prob(x) for x in (ours.sample(n), samples)]
    distance = float((values[0].mean() - values[1].mean()).abs())
    if not distance <= _STANDARD_ERRORS * float(sum(value.var() / n for value in values)) ** 0.5:
        raise ValueError(f"its samples differ by {distance:.2g} nats in their mean log-density under ours")


@contextmanager
def _float64() -> Iterator[None]:
    """A block in which what is built has twice the digits, so that weights can be converted between libraries."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
