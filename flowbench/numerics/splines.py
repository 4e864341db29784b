"""Monotone rational-quadratic splines (Gregory & Delbourgo 1982; Durkan et al. 2019, 1906.04032, section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Spline(NamedTuple):
    """A monotone spline through knots with given slopes; beyond the outermost knots nothing is defined.

    Attributes:
        x, y: the knots, increasing, ``(…, bins + 1)``.
        slopes: the derivative at each knot, positive, ``(…, bins + 1)``.
    """

    x: Tensor
    y: Tensor
    slopes: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y(x) and log dy/dx, each of the shape of ``x``: ``(…)``, within the knots."""
        piece = self._piece(x, self.x)
        t = (x - piece.x) / piece.width
        rise = piece.height * (piece.slope * t.square() + piece.left * t * (1 - t))
        return piece.y + rise / piece.denominator(t), piece.log_derivative(t)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """x(y) and log dx/dy, each of the shape of ``y``: ``(…)``, within the knots (ibid., equations 6 to 8)."""
        piece = self._piece(y, self.y)
        above = y - piece.y
        bend = piece.left + piece.right - 2 * piece.slope
        a = piece.height * (piece.slope - piece.left) + above * bend
        b = piece.height * piece.left - above * bend
        c = piece.slope * above
        # Only their ratios matter, and the squares of steep slopes would overflow.
        size = (piece.left + piece.right + piece.slope).detach()
        a, b, c = a / size, b / size, c / size
        # a t² + b t = c. Of the two forms of its root, the one that adds numbers of one sign; only rounding can make
        # what stands below the root negative.
        root = (b.square() + 4 * a * c).clamp(min=0).sqrt()
        t = torch.where(b > 0, 2 * c, root - b) / torch.where(b > 0, b + root, 2 * a)
        t = t.clamp(0, 1)  # which rounding may leave, and then the logarithm of a derivative is not defined
        return piece.x + t * piece.width, -piece.log_derivative(t)

    def _piece(self, at: Tensor, knots: Tensor) -> _Piece:
        """The piece of the spline between the two of the ``knots`` that each number lies between."""
        with torch.no_grad():
            left = (at[..., None] >= knots[..., 1:-1]).sum(-1, keepdim=True)
        ends = torch.cat((left, left + 1), -1)
        x, y, slopes = (
            torch.gather(values.expand(*at.shape, values.shape[-1]), -1, ends).unbind(-1) for values in self
        )
        width, height = x[1] - x[0], y[1] - y[0]
        return _Piece(x[0], y[0], width, height, slopes[0], slopes[1], height / width)


class _Piece(NamedTuple):
    """One piece: its lower left corner, its size, the slopes at both ends and the slope of its chord."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor
    slope: Tensor

    def denominator(self, t: Tensor) -> Tensor:
        return self.slope + (self.right + self.left - 2 * self.slope) * t * (1 - t)

    def log_derivative(self, t: Tensor) -> Tensor:
        """log dy/dx at the fraction ``t`` of the width (ibid., equation 5)."""
        inner = self.right * t.square() + 2 * self.slope * t * (1 - t) + self.left * (1 - t).square()
        return 2 * torch.log(self.slope) + torch.log(inner) - 2 * torch.log(self.denominator(t))
