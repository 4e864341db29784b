"""Learnt moments beside the true ones."""

from __future__ import annotations

from torch import Tensor


def moments(samples: Tensor, true_mean: Tensor, true_std: Tensor) -> dict[str, float]:
    """Mean and standard deviation of ``(n, D)`` samples, the truth ``(D,)``, and the largest errors in true std."""
    mean, std = samples.double().mean(0), samples.double().std(0)
    values = {
        "learnt_mean_error": float(((mean - true_mean) / true_std).abs().max()),
        "learnt_std_error": float(((std - true_std) / true_std).abs().max()),
    }
    for name, vector in {
        "learnt_mean": mean,
        "learnt_std": std,
        "true_mean": true_mean,
        "true_std": true_std,
    }.items():
        values |= {f"{name}_x{i}": float(value) for i, value in enumerate(vector, start=1)}
    return values
