"""Sylvester map: a planar map of several planes at once."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from flowbench.core import FlowModule, ShapeError, full_precision, require_shape
from flowbench.layers.planar import preimage

# Least distance of a slope from -1, where the map stops being invertible; float32 needs one.
_MARGIN = 1e-4


class Sylvester(FlowModule):
    """z = x + Q R tanh(R̃ Qᵀx + b) (van den Berg et al. 2018, 1803.05649, section 3).

    Q ``(D, M)`` has orthonormal columns; R and R̃ ``(M, M)`` are upper triangular. By Sylvester's identity the
    log-determinant is Σ log(1 + Rᵢᵢ R̃ᵢᵢ tanh'(·)), and slopes Rᵢᵢ R̃ᵢᵢ > -1 with R̃ᵢᵢ ≠ 0 make the map invertible (ibid.,
    theorem 2). Here R̃ᵢᵢ = exp(·), since a sign of it can move into R and b, and Rᵢᵢ R̃ᵢᵢ = softplus(·) - 1 plus a
    margin, without which it would round to -1. `encode` is in closed form. `decode` leaves what is orthogonal to Q as
    it is and solves for the M coordinates Qᵀx one after another, the last first: each is a monotone equation, solved
    by bisection to the precision of its floating point numbers.

    The paper iterates until a matrix is orthogonal to a tolerance. Here Q is the one of the QR decomposition of a
    matrix without constraints, or a product of Householder reflections (ibid., section 4). A reflection along zero is
    the identity. Of linearly dependent columns Q is still orthonormal, but it has no derivative there, and gradients
    are not finite.

    Args:
        dims: D.
        rank: M, between 1 and D; by default D.
        reflections: how many Householder reflections Q is the product of; ``None`` for the QR decomposition.

    Example:
        >>> import torch
        >>> layer, x = Sylvester(3, rank=2), torch.randn(7, 3)
        >>> z, logdet = layer.encode(x)
        >>> z.shape, logdet.shape
        (torch.Size([7, 3]), torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-4)
        True
    """

    def __init__(self, dims: int, *, rank: int | None = None, reflections: int | None = None):
        super().__init__()
        rank = dims if rank is None else rank
        if not 1 <= rank <= dims:
            raise ShapeError(f"expected a rank between 1 and {dims}, got {rank}")
        self.reflections = reflections
        self.directions = nn.Parameter(torch.randn(*((dims, rank) if reflections is None else (reflections, dims))))
        # Slopes start at about zero, where the map is the identity; at zero softplus would give them -0.3.
        neutral = math.log(math.expm1(1 - _MARGIN))
        self.slope = nn.Parameter(neutral + 0.1 * torch.randn(rank))
        self.log_scale = nn.Parameter(torch.zeros(rank))
        self.inner = nn.Parameter(0.1 * torch.randn(rank, rank).triu(1))
        self.outer = nn.Parameter(0.1 * torch.randn(rank, rank).triu(1))
        self.bias = nn.Parameter(torch.zeros(rank))
        self.register_buffer("identity", torch.eye(dims, rank), persistent=False)

    def extra_repr(self) -> str:
        dims, rank = self.identity.shape
        return f"dims={dims}, rank={rank}, reflections={self.reflections}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.identity.shape[:1])
        with full_precision(x):
            basis = self._basis()
            inner, outer, slope = self._triangles()
            hidden = torch.tanh(x @ basis @ inner.T + self.bias)
            return x + hidden @ outer.T @ basis.T, self._logdet(slope, hidden)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.identity.shape[:1])
        with full_precision(z):
            basis = self._basis()
            inner, outer, slope = self._triangles()
            target = z @ basis
            hidden: list[Tensor] = []  # of the coordinates from i + 1 on
            y: list[Tensor] = []
            for i in reversed(range(len(slope))):
                known = target[:, i]
                shift = self.bias[i].expand_as(known)
                if y:
                    known = known - torch.stack(hidden, 1) @ outer[i, i + 1 :]
                    shift = shift + torch.stack(y, 1) @ inner[i, i + 1 :]
                one = preimage(slope[i], inner[i, i] * known + shift).tanh()
                hidden.insert(0, one)
                y.insert(0, known - outer[i, i] * one)
            solved = torch.stack(hidden, 1)
            return z - solved @ outer.T @ basis.T, -self._logdet(slope, solved)

    def _basis(self) -> Tensor:
        """Q, ``(D, M)``."""
        if self.reflections is None:
            # With a positive diagonal Q is unique, and does not jump while its matrix is learnt.
            basis, triangle = torch.linalg.qr(self.directions)
            return torch.where(triangle.diagonal() < 0, -basis, basis)
        basis = self.identity
        for normal in self.directions:
            basis = _reflected(basis, normal)
        return basis

    def _triangles(self) -> tuple[Tensor, Tensor, Tensor]:
        """R̃ and R, ``(M, M)`` each, and the products of their diagonals, ``(M,)``."""
        slope, scale = softplus(self.slope) - (1 - _MARGIN), self.log_scale.exp()
        return self.inner.triu(1) + torch.diag(scale), self.outer.triu(1) + torch.diag(slope / scale), slope

    @staticmethod
    def _logdet(slope: Tensor, hidden: Tensor) -> Tensor:
        return torch.log1p(slope * (1 - hidden**2)).sum(1)


def _reflected(basis: Tensor, normal: Tensor) -> Tensor:
    """The columns of ``basis`` ``(D, M)`` reflected along ``normal`` ``(D,)``, or as they are if it is zero."""
    # The length of the normal means nothing, but its square may overflow or vanish.
    size = normal.detach().abs().max()
    normal = normal / torch.where(size > 0, size, 1)
    return basis - 2 * torch.outer(normal, normal @ basis) / normal.square().sum().clamp(min=1)


def examples():
    return {
        "vector": (Sylvester(4), (4,)),
        "low rank": (Sylvester(5, rank=2), (5,)),
        "reflections": (Sylvester(4, rank=3, reflections=3), (4,)),
        "scalar": (Sylvester(1), (1,)),
    }
