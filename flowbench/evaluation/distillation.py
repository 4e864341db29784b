"""A student beside its teacher: how near it is, and how much faster it samples."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowbench.config import Params, Student
from flowbench.core import FlowModel, soft_clamp
from flowbench.evaluation.cell import CellEvaluation
from flowbench.evaluation.likelihood import likelihood
from flowbench.evaluation.measurement import Measurement
from flowbench.evaluation.speed import LARGEST_BATCH, throughput
from flowbench.flows import iaf_distilled
from flowbench.layers.autoregressive import MaskedAutoregressive


@torch.no_grad()
def divergence(student: iaf_distilled.Student, teacher: FlowModel, samples: int, batch_size: int) -> dict[str, float]:
    """KL(student ‖ teacher) in nats per example, a mean over the student's samples, and its standard error.

    Args:
        teacher: with the student's preprocessing.
        samples: two at least.
        batch_size: samples per pass.
    """
    q, p = student.without_preprocessing(student), student.without_preprocessing(teacher)
    ratios = []
    for z in q.prior().sample((samples,)).split(batch_size):
        x, logdet = q.decode(z)
        ratios.append(q.prior().log_prob(z) - logdet - p.log_prob(x))
    ratio = torch.cat(ratios).double()
    return {
        "kl_to_teacher": float(ratio.mean()),
        "kl_to_teacher_standard_error": float(ratio.std()) / math.sqrt(samples),
    }


@torch.no_grad()
def speedup(student: FlowModel, teacher: FlowModel, n: int, seconds: float) -> dict[str, float]:
    """How many times faster the student draws samples than its teacher does, and than a naive one would.

    Args:
        n: samples per call.
        seconds: time that each is measured for, after one call that is not counted; one call is counted at least.
    """
    device = next(student.parameters()).device
    fast, slow, naive = (
        throughput(draw, n, seconds, device)
        for draw in (lambda: student.sample(n), lambda: teacher.sample(n), lambda: sample_naively(teacher, n))
    )
    return {"distillation_speedup": fast / slow, "distillation_speedup_naive": fast / naive}


def sample_naively(model: FlowModel, n: int) -> Tensor:
    """``(n, *event)`` from a MAF as `FlowModel.sample` draws them, by D passes of the whole network in each layer."""
    x = model.prior().sample((n,))
    for module in reversed(model.transform.chain):
        x = decode_naively(module, x) if isinstance(module, MaskedAutoregressive) else module.decode(x)[0]
    return model.dequantise.decode(x)[0] if model.dequantise else x


def decode_naively(module: MaskedAutoregressive, z: Tensor) -> Tensor:
    """``decode`` of z ``(batch, D)`` as the papers on MAF have it: D passes of the network.

    Pass i finds feature i from the features before it, and the outputs for all others go to waste.
    """
    x = torch.zeros_like(z)
    for i in range(z.shape[1]):
        log_scale, shift = module.network(x)[:, i].unbind(1)
        x[:, i] = z[:, i] * torch.exp(soft_clamp(log_scale, module.scale_limit)) + shift
    return x


class StudentEvaluation(CellEvaluation):
    """Measures a trained student of ``params.yaml`` as any cell, and beside its teacher."""

    cell: Student

    def __init__(self, params: Params, key: str, root: Path = Path()):
        super().__init__(params, key, root)
        self.where = f"suites.{params.active.name}.students.{key}.teacher"
        self.teacher_folder = root / "results" / self.cell.teacher

    @torch.no_grad()
    def _evaluate_seed(self, seed: int, measurement: Measurement, pictures_folder: Path | None) -> None:
        super()._evaluate_seed(seed, measurement, pictures_folder)
        student = self.load(seed)
        assert isinstance(student, iaf_distilled.Student)
        teacher = iaf_distilled.load_teacher(self.teacher_folder, self.source.event, seed, self.where).to(self.device)
        test = torch.from_numpy(np.array(self.test)).to(self.device)[: self.budget.test_examples]
        budget, batch_size = self.budget, self.budget.batch_size
        # Of one purpose, so that the noise is the same for both.
        of_teacher = measurement.attempt("likelihood", likelihood, teacher, test, budget.noise_draws, batch_size)
        measurement.values["teacher_bits_per_dim"] = of_teacher["bits_per_dim"]
        measurement.enter("divergence", divergence, student, teacher, budget.samples, batch_size)
        at_once = min(LARGEST_BATCH, batch_size, len(test))
        measurement.enter("speed", speedup, student, teacher, at_once, budget.throughput_seconds)
