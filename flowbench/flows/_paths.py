"""Probability paths of flow matching: between a latent x₀ at t = 0 and data x₁ at t = 1.

Each path takes x₀ and x₁ ``(batch, *event)``, times t ``(batch, 1, …)`` in [0, 1] and σ, and returns a point x_t
on the way with the velocity u_t there, both ``(batch, *event)``.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

PathName = Literal["conditional", "linear", "diffusion"]

# β at the end with the data and at the end with the noise (Song et al. 2021, 2011.13456, appendix C).
_BETA_MIN, _BETA_MAX = 0.1, 20.0
# The diffusion's velocity is unbounded at t = 1, so this much is left out (Lipman et al. 2023, appendix E.1).
DIFFUSION_END = 1e-5


def spread_times(n: int, device: torch.device) -> Tensor:
    """Times in [0, 1), ``(n,)``: spread evenly with one common random shift, which gives less variance than independent
    times (Kingma et al. 2021, 2107.00630, appendix I.1)."""
    return (torch.arange(n, device=device) / n + torch.rand((), device=device)) % 1


def conditional(x0: Tensor, x1: Tensor, t: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """x_t = (1 - (1 - σ) t) x₀ + t x₁: the data has a Gaussian of width σ around it (Lipman et al. 2023, 2210.02747,
    equations 20 to 23)."""
    return (1 - (1 - sigma) * t) * x0 + t * x1, x1 - (1 - sigma) * x0


def linear(x0: Tensor, x1: Tensor, t: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """x_t = (1 - t) x₀ + t x₁ + σ ε, a tube of constant width σ about a straight line, for any joint distribution of
    its ends (Tong et al. 2024, 2302.00482, equations 14 and 15)."""
    line = (1 - t) * x0 + t * x1
    return (line + sigma * torch.randn_like(line) if sigma else line), x1 - x0


def diffusion(x0: Tensor, x1: Tensor, t: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """x_t = α x₁ + √(1 - α²) x₀, the variance-preserving diffusion run backwards (Lipman et al. 2023, 2210.02747,
    equations 18 and 19): α = exp(-½ ∫ β) with β linear in s = 1 - t. σ is not used."""
    s = (1 - t).clamp(min=DIFFUSION_END)
    log_alpha = -0.5 * (_BETA_MIN * s + 0.5 * (_BETA_MAX - _BETA_MIN) * s**2)
    alpha, noise = log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()
    # dα/dt = ½ β α, since s = 1 - t; the derivative of √(1 - α²) follows from it.
    alpha_rate = 0.5 * (_BETA_MIN + (_BETA_MAX - _BETA_MIN) * s) * alpha
    return alpha * x1 + noise * x0, alpha_rate * (x1 - alpha / noise * x0)


PATHS = {"conditional": conditional, "linear": linear, "diffusion": diffusion}
