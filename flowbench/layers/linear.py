"""Invertible linear map, kept in its LU decomposition."""

import torch
from torch import Tensor, nn

from flowbench.core import FlowModule, full_precision, require_shape


class InvertibleLinear(FlowModule):
    """z = W x with W = P L (U + diag(s)) (Kingma & Dhariwal 2018, 1807.03039, equation 10).

    P is a fixed permutation, L unit lower triangular, U strictly upper triangular; the sign of s is fixed and
    log|s| is learnt, so W stays invertible and log|det W| = Σ log|s|. W starts as a random rotation. Decoding is
    two triangular solves: O(D²) per example.

    Args:
        dims: D.

    Example:
        >>> import torch
        >>> layer, x = InvertibleLinear(5), torch.randn(7, 5)
        >>> z, logdet = layer.encode(x)
        >>> torch.allclose(z.norm(dim=1), x.norm(dim=1), atol=1e-4), logdet.shape  # a rotation at first
        (True, torch.Size([7]))
        >>> torch.allclose(layer.decode(z)[0], x, atol=1e-4)
        True
    """

    def __init__(self, dims: int):
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(dims, dims)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("identity", torch.eye(dims), persistent=False)
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())

    def extra_repr(self) -> str:
        return f"dims={len(self.log_scale)}"

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(x, self.log_scale.shape)
        with full_precision(x):
            return torch.nn.functional.linear(x, self._weight()), self.log_scale.sum().expand(len(x))

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        require_shape(z, self.log_scale.shape)
        with full_precision(z):
            return self._solve(z.T).T, -self.log_scale.sum().expand(len(z))

    def _weight(self) -> Tensor:
        """W, ``(D, D)``."""
        return self.permutation @ self._lower() @ self._upper()

    def _solve(self, z: Tensor) -> Tensor:
        """W⁻¹ z for columns ``(D, n)``."""
        y = torch.linalg.solve_triangular(self._lower(), self.permutation.T @ z, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(self._upper(), y, upper=True)

    def _lower(self) -> Tensor:
        return self.lower.tril(-1) + self.identity

    def _upper(self) -> Tensor:
        return self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())


def examples():
    return {"vector": (InvertibleLinear(5), (5,)), "scalar": (InvertibleLinear(1), (1,))}
