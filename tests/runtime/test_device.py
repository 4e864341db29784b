"""Where a cell runs, and the clock that computing is timed by."""

import os
import time

import torch

from flowbench.runtime import device
from flowbench.runtime.device import clock

CPU = torch.device("cpu")


def test_the_clock_of_a_cpu_goes_on_while_it_computes_and_stands_still_while_it_waits():
    begin = clock(CPU)
    time.sleep(0.3)
    waited = clock(CPU) - begin
    while clock(CPU) - begin < 0.1:  # ends only if the clock goes on
        torch.randn(100_000).sort()
    assert waited < 0.1


def test_a_gpu_adds_up_in_one_order(monkeypatch):
    # torch's own setting stays for the process, and its first use takes ten seconds of imports.
    asked = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *args, **options: asked.append((args, options)))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(os, "environ", environment := {})
    assert device.pick("cpu", "") == CPU
    assert asked == []
    assert device.pick("auto", "").type == "cuda"
    assert asked == [((True,), {"warn_only": True})]
    assert environment == {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert not torch.utils.deterministic.fill_uninitialized_memory
