"""Exact optimal assignment between two sets of points."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def assignment(x0: Tensor, x1: Tensor) -> Tensor:
    """The permutation π, ``(batch,)`` on the CPU, for which Σᵢ |x₀ᵢ - x₁π(i)|² is smallest; O(batch³).

    Costs are computed on the device of the points, in float32, and SciPy finds the assignment on the host. For the
    batches that flow matching couples it is at least about as fast as POT's network simplex, the other exact solver in
    wide use. Milliseconds on one core between Gaussian noise and 2-D data, or clusters that stand for images; POT's
    in brackets:

    | batch | D = 2 (mean of the 3 transports) | D = 64     | D = 784    | D = 3072   |
    | ----- | -------------------------------- | ---------- | ---------- | ---------- |
    | 64    | 0.1 (0.4)                        | 0.1 (0.5)  | 0.1 (0.5)  | 0.1 (0.5)  |
    | 256   | 5.3 (5.6)                        | 2.5 (6.4)  | 1.9 (5.6)  | 2.0 (6.1)  |
    | 512   | 40 (32)                          | 13 (35)    | 8.4 (34)   | 8.0 (25)   |

    For more than 256 points in the plane the network simplex is faster.
    """
    from scipy.optimize import linear_sum_assignment  # takes half a second to import

    x0, x1 = (x.flatten(1).float() for x in (x0, x1))
    x0, x1 = x0 - x0.mean(0), x1 - x1.mean(0)
    # Only the product in |x₀ - x₁|² matters to the plan: a term of one side alone adds the same to every plan. But the
    # solver searches less when good partners are cheap in each row. So λ |x₁|² / 2 is added, as if x₁ had the scale
    # that the partners of x₀ have along x₀. This saves at least half of the time.
    alignment = min(1.0, math.sqrt(2 * math.log(len(x0)) / x0.shape[1]))  # of the best random direction
    scale = alignment * x0.norm() / x1.norm().clamp(min=1e-12)
    with torch.autocast(x0.device.type, enabled=False):
        cost = scale / 2 * x1.square().sum(1) - x0 @ x1.T
    return torch.from_numpy(linear_sum_assignment(cost.cpu().numpy())[1])
