"""The works that are timed: an architecture, its sizes, and how much faster than the best peer we want to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.candidate import Candidate
from flowbench import flows
from flowbench.core import Event, FlowModel
from flowbench.layers.linear import InvertibleLinear

TRAIN, DENSITY, SAMPLING = "train step", "density", "sampling"
# A training step with all that the suite's own loop does around it.
LOOP = "step of the suite's loop"


@dataclass(frozen=True)
class Work:
    """One architecture at one size.

    Attributes:
        name: as the report prints it.
        kind: the function of `bench.peers` modules that makes the peer's version.
        flow, options: ours.
        event: one example.
        batch: examples of a training step and of a density.
        draws: examples of a call of sampling.
        gain: of the random weights: so large that the log-determinant depends on the data.
        goals: for each quantity that is timed, the speed of ours over that of the fastest peer that we want.
    """

    name: str
    kind: str
    flow: str
    options: Mapping[str, Any]
    event: Event
    batch: int
    draws: int
    gain: float = 1.0
    goals: Mapping[str, float] = field(default_factory=dict)

    def ours(self, seed: int = 0) -> FlowModel:
        """Our flow, in which every parameter is drawn anew: a flow that starts as the identity would prove nothing."""
        torch.manual_seed(seed)
        model = flows.build(self.flow, self.event, dict(self.options))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(self.gain * torch.randn_like(parameter) / max(1, parameter[0].numel()) ** 0.5)
            for layer in model.modules():
                if isinstance(layer, InvertibleLinear):
                    # Not every library has a permutation there, or the signs.
                    layer.permutation.copy_(layer.identity)
                    layer.sign.fill_(1.0)
        return model

    def data(self, n: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> Tensor:
        """``(n, *event)``, standard normal."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, *self.event.shape, generator=generator, dtype=torch.float64).to(dtype)


def candidate(model: FlowModel) -> Candidate:
    """Ours."""
    return Candidate(model, model.loss, model.log_prob, model.sample)


def vectors(dims: int) -> Event:
    """Vectors that are not standardised first, as no peer does so."""
    return Event((dims,), standardise=False)


_MAF = {"layers": 5, "hidden": [256, 256]}
# Weights so small that the splines' inputs stay in the interval that they bend, as those of a trained flow do: nflows
# leaves out what lies outside.
_NSF = {"layers": 5, "hidden": [128, 128]}

WORKS = (
    Work(
        "RealNVP, D = 2, 8 layers, 2×64",
        "realnvp",
        "realnvp",
        {"layers": 8, "hidden": [64, 64]},
        vectors(2),
        batch=512,
        draws=512,
        goals={TRAIN: 1.15, DENSITY: 1.2, SAMPLING: 1.2},
    ),
    Work(
        "MAF, D = 64, 5 layers, 2×256",
        "maf",
        "maf",
        _MAF,
        vectors(64),
        batch=256,
        draws=256,
        goals={TRAIN: 1.1, DENSITY: 1.1, SAMPLING: 8},
    ),
    Work(
        "MAF, D = 784, 5 layers, 2×512",
        "maf",
        "maf",
        {"layers": 5, "hidden": [512, 512]},
        vectors(784),
        batch=64,
        draws=64,
        goals={SAMPLING: 40},
    ),
    Work("IAF, D = 64, 5 layers, 2×256", "iaf", "iaf", _MAF, vectors(64), batch=256, draws=256, goals={DENSITY: 8}),
    Work(
        "NSF (coupling), D = 16, 5 layers, 2×128",
        "nsf",
        "nsf",
        _NSF,
        vectors(16),
        batch=256,
        draws=256,
        gain=0.3,
        goals={TRAIN: 1, DENSITY: 1, SAMPLING: 1},
    ),
    Work(
        "NSF (autoregressive), D = 16, 5 layers, 2×128",
        "nsf_autoregressive",
        "nsf",
        _NSF | {"architecture": "autoregressive"},
        vectors(16),
        batch=256,
        draws=256,
        gain=0.2,
        goals={TRAIN: 1, DENSITY: 1, SAMPLING: 1},
    ),
    Work(
        "I-CFM, D = 2, 3×64",
        "cfm",
        "flow_matching",
        {"hidden": [64, 64, 64]},
        vectors(2),
        batch=256,
        draws=256,
        goals={TRAIN: 1.1},
    ),
    Work(
        "OT-CFM, D = 2, 3×64",
        "ot_cfm",
        "flow_matching",
        {"hidden": [64, 64, 64], "coupling": "optimal-transport"},
        vectors(2),
        batch=256,
        draws=256,
        goals={TRAIN: 1.5},
    ),
    Work(
        "Equation of flow matching, D = 2, 3×64",
        "equation",
        "flow_matching",
        {"hidden": [64, 64, 64]},
        vectors(2),
        batch=256,
        draws=256,
        goals={DENSITY: 3, SAMPLING: 1.5},
    ),
    Work(
        "Glow, 3×32×32, L = 3, K = 4, 128 channels",
        "glow",
        "glow",
        {"steps": 4, "hidden": [128, 128], "scales": 3},
        Event((3, 32, 32)),
        batch=16,
        draws=16,
        gain=0.2,
        goals={TRAIN: 1.2, DENSITY: 1.2, SAMPLING: 1.2},
    ),
)
