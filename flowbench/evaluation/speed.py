"""Throughput."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowbench.core import FlowModel, Generator
from flowbench.evaluation.subject import Family, Subject
from flowbench.metrics import Measured, over
from flowbench.runtime.device import clock

# Examples per call.
LARGEST_BATCH = 1000


@torch.no_grad()
def speed(model: Generator, test: Tensor, seconds: float, batch_size: int) -> dict[str, float]:
    """Densities evaluated, if there is one, and samples drawn per second, on the device that the model is on.

    Args:
        test: ``(n, *event)``; evaluated in batches of up to 1,000.
        seconds: time that each is measured for, after one call that is not counted; one call is counted at least.
        batch_size: most examples per call.
    """
    batch = test[: min(LARGEST_BATCH, batch_size)]
    calls: dict[str, Callable[[], object]] = {}
    if isinstance(model, FlowModel):
        calls["log_prob_samples_per_second"] = lambda: model.log_prob(batch)
    calls["sample_samples_per_second"] = lambda: model.sample(len(batch))
    return {name: throughput(call, len(batch), seconds, test.device) for name, call in calls.items()}


def throughput(function: Callable[[], object], size: int, seconds: float, device: torch.device) -> float:
    """Examples per second of a function that handles ``size`` of them, on ``device``, as `speed` measures them."""

    def synchronised() -> None:
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    synchronised()
    calls, begin = 0, clock(device)
    while (elapsed := clock(device) - begin) < seconds or calls == 0:
        synchronised()
        calls += 1
    return calls * size / elapsed


def _measure(subject: Subject) -> dict[str, Measured]:
    budget = subject.budget
    n = min(LARGEST_BATCH, budget.batch_size, len(subject.test))
    return over(n, speed(subject.model, subject.test, budget.throughput_seconds, budget.batch_size))


FAMILIES = [Family("speed", lambda subject: True, _measure)]
