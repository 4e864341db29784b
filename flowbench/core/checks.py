"""How well the two directions of a map and its log-determinants agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# One backward pass gives this many rows of Jacobians: enough to keep a device busy, few enough for its memory.
_JACOBIAN_ROWS = 64


@dataclass(frozen=True)
class WorstLogdet:
    """A log-determinant at the point where it differs most from autograd's, in nats."""

    expected: float
    found: float


@dataclass(frozen=True)
class Check:
    """Largest absolute errors of a map, found by `FlowModule.check` in float64.

    Attributes:
        data_error: ``|x - decode(encode(x))|``.
        latent_error: ``|z - encode(decode(z))|``.
        logdet_encode_error: encode's log-determinant against autograd's ``slogdet``, in nats.
        logdet_decode_error: the same for decode.
        logdet_sum_error: ``|logdet_encode + logdet_decode|``, in nats.
        encode_logdet, decode_logdet: where encode's and decode's log-determinants differ most from autograd's.
        reason: why the map could not be checked at all; all errors are then infinite.
    """

    data_error: float
    latent_error: float
    logdet_encode_error: float
    logdet_decode_error: float
    logdet_sum_error: float
    encode_logdet: WorstLogdet | None = None
    decode_logdet: WorstLogdet | None = None
    reason: str = ""

    @classmethod
    def impossible(cls, reason: str) -> Check:
        """The check of a map that cannot be checked."""
        return cls(math.inf, math.inf, math.inf, math.inf, math.inf, reason=reason)

    @property
    def round_trip_error(self) -> float:
        """The larger of the two round-trip errors."""
        return max(self.data_error, self.latent_error)

    @property
    def logdet_error(self) -> float:
        """The largest of the three log-determinant errors, in nats."""
        return max(self.logdet_encode_error, self.logdet_decode_error, self.logdet_sum_error)


def largest(error: Tensor) -> float:
    """Largest absolute value, where anything that is not a number counts as infinite."""
    return float(error.abs().nan_to_num(nan=math.inf, posinf=math.inf).max())


def worst_logdet(expected: Tensor, found: Tensor) -> WorstLogdet:
    """Two log-determinants ``(batch,)`` where they differ most; NaN counts as an infinite difference."""
    worst = (found - expected).abs().nan_to_num(nan=math.inf, posinf=math.inf).argmax()
    return WorstLogdet(float(expected[worst]), float(found[worst]))


def autograd_logdet(direction: Callable[[Tensor], tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """log|det| of the Jacobian of ``direction`` at each point, by autograd: ``(batch,)``."""
    # Examples do not mix, so the gradient of output i of copy i of a point is row i of its Jacobian: a backward pass
    # gives one row for each copy. Any map can be treated so, while autograd's own vectorisation fails for some.
    batch, dims = len(x), x[0].numel()
    count = min(dims, max(1, _JACOBIAN_ROWS // batch))
    copies = x.repeat_interleave(count, 0).requires_grad_()
    outputs = direction(copies)[0].reshape(batch, count, dims)
    rows = []
    for part in outputs.split(count, 2):
        (gradient,) = torch.autograd.grad(part.diagonal(dim1=1, dim2=2).sum(), copies, retain_graph=True)
        rows.append(gradient.reshape(batch, count, dims)[:, : part.shape[2]])
    return torch.linalg.slogdet(torch.cat(rows, 1)).logabsdet
