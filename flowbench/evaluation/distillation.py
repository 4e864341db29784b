"""A student beside its teacher: how near it is, and how much faster it samples."""

import math

import torch
from torch import Tensor

from flowbench.core import FlowModel, FlowModule
from flowbench.evaluation.likelihood import likelihood, negative_log_likelihoods
from flowbench.evaluation.speed import LARGEST_BATCH, throughput
from flowbench.evaluation.subject import Family, Subject
from flowbench.flows._student import Student
from flowbench.metrics import Measured, over
from flowbench.runtime.seeding import seeded


@torch.no_grad()
def divergence(student: Student, teacher: FlowModel, samples: int, batch_size: int) -> dict[str, float]:
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
        # By its name, since an import would make every evaluation depend on this map.
        autoregressive = type(module).__name__ == "MaskedAutoregressive"
        x = decode_naively(module, x) if autoregressive else module.decode(x)[0]
    return model.dequantise.decode(x)[0] if model.dequantise else x


def decode_naively(module: FlowModule, z: Tensor) -> Tensor:
    """``decode`` of z ``(batch, D)`` by a `MaskedAutoregressive` as the papers on MAF have it: D passes of the network.

    Pass i finds feature i from the features before it, and the outputs for all others go to waste.
    """
    x = torch.zeros_like(z)
    for i in range(z.shape[1]):
        x[:, i] = module.univariate.decode(z[:, i], module.network(x)[:, i])[0]
    return x


def _students(subject: Subject) -> tuple[Student, FlowModel]:
    """The student and its teacher, which shares the student's preprocessing."""
    # A model is built with random weights. They must take no number from the noise of what is measured.
    with seeded(0):
        teacher = subject.cell.teacher(subject.seed)
    assert isinstance(subject.model, Student)
    assert isinstance(teacher, FlowModel)
    return subject.model, teacher


def _measure_teacher(subject: Subject) -> dict[str, Measured]:
    _, teacher = _students(subject)
    nats = negative_log_likelihoods(teacher, subject.test, subject.budget.noise_draws, subject.budget.batch_size)
    bits = likelihood(nats, subject.test[0].numel())["bits_per_dim"]
    return over(len(subject.test), {"teacher_bits_per_dim": bits})


def _measure(subject: Subject) -> dict[str, Measured]:
    samples = subject.budget.samples
    return over(samples, divergence(*_students(subject), samples, subject.budget.batch_size))


def _measure_speed(subject: Subject) -> dict[str, Measured]:
    at_once = min(LARGEST_BATCH, subject.budget.batch_size, len(subject.test))
    return over(at_once, speedup(*_students(subject), at_once, subject.budget.throughput_seconds))


def _is_student(subject: Subject) -> bool:
    return isinstance(subject.model, Student)


FAMILIES = [
    # Its purpose is that of the student's own likelihood, so that the noise is the same for both.
    Family("likelihood", _is_student, _measure_teacher),
    Family("divergence", lambda subject: _is_student(subject) and subject.budget.samples > 1, _measure),
    Family("speed", _is_student, _measure_speed),
]
